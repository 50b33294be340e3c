import { EventEmitter } from 'node:events';
import type { ReadyEvents } from '@app/contracts';
import type { Response } from 'express';
import { describe, expect, it } from 'vitest';
import { Deadlines } from '../../timing/deadlines.js';
import { SseResponse } from './sse-response.js';

/** The part of a response that is written to; `isFull` is a client that does not read. */
class Client extends EventEmitter {
  readonly writes: string[] = [];
  headersSent = false;
  destroyed = false;
  writableEnded = false;
  writableNeedDrain = false;
  isFull = false;
  statusCode = 0;
  /** What reached the socket in one go. */
  readonly sent: string[][] = [];
  readonly socket = {
    cork: (): void => {
      if (this.#corks === 0) this.sent.push([]);
      this.#corks += 1;
    },
    uncork: (): void => void (this.#corks -= 1),
  };
  #corks = 0;

  setHeader(): void {}

  flushHeaders(): void {
    this.headersSent = true;
    this.#send('head');
  }

  #send(text: string): void {
    if (this.#corks > 0) this.sent.at(-1)?.push(text);
    else this.sent.push([text]);
  }

  write(text: string): boolean {
    this.#send(text);
    this.writes.push(text);
    this.writableNeedDrain = this.isFull;
    return !this.isFull;
  }

  end(text: string): void {
    this.writes.push(text);
    this.writableEnded = true;
  }

  drain(): void {
    this.writableNeedDrain = false;
    this.emit('drain');
  }

  leave(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

/** Packets of events; the last is followed by the end. */
class Packets implements AsyncIterableIterator<string>, ReadyEvents<string> {
  taken = 0;
  isLeft = false;
  #at: string[] = [];
  #isEnded = false;
  #wake = (): void => undefined;

  [Symbol.asyncIterator](): this {
    return this;
  }

  send(...events: string[]): void {
    this.#at.push(...events);
    this.#wake();
  }

  finish(): void {
    this.#isEnded = true;
    this.#wake();
  }

  takeReady(): string | undefined {
    const event = this.#at.shift();
    if (event !== undefined) this.taken += 1;
    return event;
  }

  whenReady(wake: () => void): boolean {
    if (this.#isEnded || this.#at.length > 0) return false;
    this.#wake = () => queueMicrotask(wake);
    return true;
  }

  next(): Promise<IteratorResult<string>> {
    return Promise.resolve({ done: true, value: undefined });
  }

  return(): Promise<IteratorResult<string>> {
    this.isLeft = true;
    return Promise.resolve({ done: true, value: undefined });
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function piped(...ready: string[]) {
  const client = new Client();
  const events = new Packets();
  events.send(...ready);
  const sse = new SseResponse(client as unknown as Response, 0, new Deadlines(), 60_000);
  const ended = new Promise<void>((resolve) => sse.pipe(events, resolve));
  return { client, events, sse, ended };
}

describe('an answer stream', () => {
  it('begins with its head and what is there already, in one piece', async () => {
    const { client, events, ended } = piped('1', '2');
    expect(client.sent).toEqual([['head', 'data: 1\n\ndata: 2\n\n']]);
    events.finish();
    await ended;
  });

  it('begins with its head when nothing else is there', async () => {
    const { client, events, ended } = piped();
    expect(client.sent).toEqual([['head']]);
    events.finish();
    await ended;
  });

  it('writes what comes together in one piece, at once, and [DONE] at the end', async () => {
    const { client, events, ended } = piped();
    await turn();
    events.send('1', '2', '3');
    await Promise.resolve();
    await Promise.resolve();
    expect(client.writes).toEqual(['data: 1\n\ndata: 2\n\ndata: 3\n\n']);
    events.send('4');
    await turn();
    events.finish();
    await ended;
    expect(client.writes.slice(1)).toEqual(['data: 4\n\n', 'data: [DONE]\n\n']);
    expect(events.isLeft).toBe(false);
  });

  // Decoders are in use that take every blank line for the end of an event, and fail at one without data.
  it('pings in a line of its own, without a blank line behind it', async () => {
    const { client, events, sse, ended } = piped();
    sse.onDue();
    events.send('1');
    await turn();
    sse.onDue();
    sse.onDue();
    events.send('2');
    await turn();
    events.finish();
    await ended;
    expect(client.writes.join('').split('\n\n')).toEqual([
      ': ping\ndata: 1',
      ': ping\n: ping\ndata: 2',
      'data: [DONE]',
      '',
    ]);
  });

  it('takes no more while its client has not taken the last bytes', async () => {
    const { client, events, ended } = piped();
    client.isFull = true;
    await turn();
    events.send('1');
    await turn();
    events.send(...Array.from({ length: 50 }, () => 'x'));
    await turn();
    expect(events.taken).toBe(1);
    client.isFull = false;
    client.drain();
    await turn();
    expect(events.taken).toBe(51);
    events.finish();
    await ended;
  });

  it('stops within a packet when that alone is too much', async () => {
    const { client, events, ended } = piped();
    client.isFull = true;
    await turn();
    events.send(...Array.from({ length: 50 }, () => 'x'.repeat(10_000)));
    await turn();
    expect(events.taken).toBe(4);
    client.leave();
    await ended;
    expect(events.isLeft).toBe(true);
    expect(client.writes).toHaveLength(1);
  });
});
