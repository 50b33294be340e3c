import { EventEmitter } from 'node:events';
import type { Worker } from 'node:cluster';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { answerPulse, watchPulse } from './worker-pulse.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Both ends of a channel; `hangs` keeps what is asked. */
class Channel extends EventEmitter {
  hangs = false;
  readonly ipc = Object.assign(new EventEmitter(), {
    send: (answer: unknown) => this.emit('message', answer),
  });

  isConnected = (): boolean => true;

  send(message: unknown): boolean {
    if (!this.hangs) this.ipc.emit('message', message);
    return true;
  }
}

function watch(): { channel: Channel; hung: number[] } {
  const channel = new Channel();
  const hung: number[] = [];
  watchPulse(channel as unknown as Worker, (silentMs) => hung.push(silentMs));
  return { channel, hung };
}

it('a worker that answered and hangs is found within some half a minute, once', () => {
  const { channel, hung } = watch();
  answerPulse(channel.ipc as unknown as NodeJS.Process);
  vi.advanceTimersByTime(60_000);
  channel.hangs = true;
  vi.advanceTimersByTime(25_000);
  expect(hung).toEqual([]);
  vi.advanceTimersByTime(60_000);
  expect(hung).toEqual([30_000]);
});

it('one that was late is forgiven, and one that boots is waited for', () => {
  const { channel, hung } = watch();
  vi.advanceTimersByTime(120_000);
  answerPulse(channel.ipc as unknown as NodeJS.Process);
  for (let round = 0; round < 5; round += 1) {
    channel.hangs = true;
    vi.advanceTimersByTime(25_000);
    channel.hangs = false;
    vi.advanceTimersByTime(5_000);
  }
  expect(hung).toEqual([]);
});

it('one that ended is asked no more', () => {
  const { channel, hung } = watch();
  answerPulse(channel.ipc as unknown as NodeJS.Process);
  vi.advanceTimersByTime(10_000);
  channel.hangs = true;
  channel.emit('exit', 1);
  vi.advanceTimersByTime(120_000);
  expect(hung).toEqual([]);
});
