import { whenNotAnswered } from '../timing/late-reading.js';
import { isLimitMessage, type LimitAnswer, type LimitQuestion } from './cluster-messages.js';
import type { Charge, Decision, Slot } from './limit-store.js';
import type { Heartbeat, RemoteLimitStore, Seed } from './remote-limit-store.js';

/**
 * Longer than for Redis: the primary runs on the same machine and lives as long as we do. If it is late, the cores are
 * busy, and deciding alone would cost accuracy without saving anybody time.
 */
const ANSWER_TIMEOUT_MS = 500;

interface Waiting {
  readonly resolve: (answer: LimitAnswer['answer']) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** The limits of all workers in the primary's memory, asked over the pipe of node:cluster. */
export class ClusterLimitStore implements RemoteLimitStore {
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  constructor() {
    process.on('message', (message: unknown) => {
      if (isLimitMessage(message)) this.#settle(message as LimitAnswer);
    });
  }

  async take(charges: readonly Charge[], seeds: readonly Seed[]): Promise<Decision> {
    return (await this.#ask({ operation: 'take', charges, seeds })) as Decision;
  }

  async correct(charge: Charge, delta: number): Promise<void> {
    await this.#ask({ operation: 'correct', charge, delta });
  }

  async acquireSlot(slot: Slot, limit: number): Promise<boolean> {
    return (await this.#ask({ operation: 'acquireSlot', slot, limit })) === true;
  }

  async renewSlots(slots: readonly Slot[]): Promise<void> {
    if (slots.length > 0) await this.#ask({ operation: 'renewSlots', slots });
  }

  async releaseSlot(slot: Slot): Promise<void> {
    await this.#ask({ operation: 'releaseSlot', slot });
  }

  async heartbeat(): Promise<Heartbeat> {
    return (await this.#ask({ operation: 'heartbeat' })) as Heartbeat;
  }

  #ask(ask: LimitQuestion['ask']): Promise<LimitAnswer['answer']> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const late = (): void => this.#fail(id, new Error('the primary process did not answer in time'));
      const timer = whenNotAnswered(ANSWER_TIMEOUT_MS, late);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#send({ channel: 'limits', id, ask });
    });
  }

  #send(question: LimitQuestion): void {
    if (!process.send) return this.#fail(question.id, new Error('not a worker process'));
    process.send(question, undefined, undefined, (error) => {
      if (error) this.#fail(question.id, error);
    });
  }

  #settle({ id, answer }: LimitAnswer): void {
    this.#taken(id)?.resolve(answer);
  }

  #fail(id: number, error: Error): void {
    this.#taken(id)?.reject(error);
  }

  /** Whoever waits for this, no longer. */
  #taken(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    clearTimeout(waiting?.timer);
    return waiting;
  }
}
