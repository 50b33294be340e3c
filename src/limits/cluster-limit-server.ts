import cluster, { type Worker } from 'node:cluster';
import { randomUUID } from 'node:crypto';
import { isLimitMessage, type LimitAnswer, type LimitQuestion } from './cluster-messages.js';
import { SLOT_LIFETIME_MS } from './limit-store.js';
import { MemoryLimitStore } from './memory-limit-store.js';

/**
 * With several workers and no Redis, the primary process holds the one memory that all of them count in.
 * Call once in the primary, before the first fork. Does nothing while nobody asks.
 */
export function serveLimitsToWorkers(): void {
  const store = new MemoryLimitStore(undefined, undefined, SLOT_LIFETIME_MS);
  const marker = randomUUID();
  cluster.on('message', (worker: Worker, message: unknown) => {
    if (!isLimitMessage(message)) return;
    const { id, ask } = message as LimitQuestion;
    const reply: LimitAnswer = { channel: 'limits', id, answer: answer(store, marker, ask) };
    if (worker.isConnected()) worker.send(reply);
  });
}

function answer(store: MemoryLimitStore, marker: string, ask: LimitQuestion['ask']): LimitAnswer['answer'] {
  switch (ask.operation) {
    case 'take':
      for (const [index, charge] of ask.charges.entries()) store.correct(charge, ask.seeds[index]!.granted);
      return store.take(ask.charges);
    case 'correct':
      store.correct(ask.charge, ask.delta);
      return null;
    case 'acquireSlot':
      return store.acquireSlot(ask.slot, ask.limit);
    case 'renewSlots':
      store.renewSlots(ask.slots);
      return null;
    case 'releaseSlot':
      store.releaseSlot(ask.slot);
      return null;
    case 'heartbeat':
      return { instances: Object.keys(cluster.workers ?? {}).length || 1, marker };
    default:
      return ask satisfies never;
  }
}
