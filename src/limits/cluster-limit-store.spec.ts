import { Worker } from 'node:worker_threads';
import { afterEach, expect, it, vi } from 'vitest';
import { ClusterLimitStore } from './cluster-limit-store.js';
import type { LimitQuestion } from './cluster-messages.js';
import type { Charge } from './limit-store.js';

/** Longer than anybody waits for an answer. */
const BUSY_MS = 700;
const CHARGE: Charge = { rule: { name: 'minute', limit: 30, windowMs: 60_000 }, key: 'alice', cost: 1 };

const send = process.send;
let primary: Worker | undefined;
afterEach(async () => {
  process.send = send;
  await primary?.terminate();
});

/** Answers on a thread of its own, so that its answers are there while this one is busy. */
async function startPrimary(): Promise<void> {
  const program = `
    const { parentPort } = require('node:worker_threads');
    parentPort.on('message', (id) => parentPort.postMessage({ channel: 'limits', id, answer: 'granted' }));
    parentPort.postMessage('up');`;
  const worker = new Worker(program, { eval: true });
  await new Promise((resolve) => worker.once('message', resolve));
  worker.on('message', (answer: unknown) => process.emit('message', answer, undefined));
  process.send = (question: unknown) => {
    worker.postMessage((question as LimitQuestion).id);
    return true;
  };
  primary = worker;
}

const isBusy = (): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);

// Both would count it otherwise: the primary what it granted, and this worker what it grants alone.
it('does not take an answer for late that lay there while this process was busy', async () => {
  await startPrimary();
  const decision = new ClusterLimitStore().take([CHARGE], []);
  await new Promise((resolve) => setImmediate(resolve));
  isBusy();
  expect(await decision).toBe('granted');
});

it('waits no longer for one that never comes', async () => {
  process.send = vi.fn(() => true);
  await expect(new ClusterLimitStore().take([CHARGE], [])).rejects.toThrow('did not answer in time');
});
