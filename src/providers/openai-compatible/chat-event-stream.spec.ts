import { type ChatStreamEvent, chunksOf } from '@app/contracts';
import fc from 'fast-check';
import type { Dispatcher } from 'undici';
import { describe, expect, it } from 'vitest';
import { LightBody } from '../http/light-body.js';
import { ChatEventStream } from './chat-event-stream.js';
import { compatibleDialect } from './openai-compatible.dialect.js';
import { ChatStreamTranslator } from './openai-compatible.stream.js';

const CONTROLLER = {
  pause: () => undefined,
  resume: () => undefined,
  abort: () => undefined,
} as unknown as Dispatcher.DispatchController;

function opened() {
  const body = new LightBody(CONTROLLER);
  const translator = new ChatStreamTranslator({
    clientModel: 'client-model',
    requestId: 'req-1',
    dialect: compatibleDialect('compatible'),
    usageAsked: false,
  });
  return { body, events: new ChatEventStream(body, translator, new AbortController().signal) };
}

interface Read {
  chunks: string[];
  outputText: string;
  events: number;
  failure?: unknown;
}

function noted(read: Read, event: ChatStreamEvent): void {
  read.chunks.push(...chunksOf(event.json));
  read.outputText += event.outputText;
  read.events += 1;
}

/** All packets are there when reading begins. */
function bodyOf(packets: readonly Uint8Array[]) {
  const { body, events } = opened();
  for (const packet of packets) body.push(packet);
  body.end();
  return events;
}

async function readSingly(packets: readonly Uint8Array[]): Promise<Read> {
  const read: Read = { chunks: [], outputText: '', events: 0 };
  try {
    for await (const event of bodyOf(packets)) noted(read, event);
  } catch (failure) {
    read.failure = failure;
  }
  return read;
}

async function readInRuns(packets: readonly Uint8Array[]): Promise<Read> {
  const read: Read = { chunks: [], outputText: '', events: 0 };
  const events = bodyOf(packets);
  try {
    for (;;) {
      const event = events.takeReady() ?? (await events.next()).value;
      if (!event) return read;
      noted(read, event);
    }
  } catch (failure) {
    return { ...read, failure };
  }
}

const chunk = (delta: object, finish_reason: string | null = null, index = 0, more: object = {}) => ({
  id: 'c',
  created: 7,
  choices: [{ index, delta, finish_reason }],
  ...more,
});
const data = (...events: unknown[]) => events.map((event) => `data: ${JSON.stringify(event)}\n\n`);
const bytes = (text: string) => new TextEncoder().encode(text);
const TEXTS = ['a', 'b', 'c', 'd', 'e'].map((content) => chunk({ content }));
const END = [...data(chunk({}, 'stop')), 'data: [DONE]\n\n'];

describe('a reader who takes what is ready', () => {
  it('gets the ordinary chunks that came together as one event, over packets too', async () => {
    const [first, ...others] = data(...TEXTS);
    const read = await readInRuns([first!, others.join(''), END.join('')].map(bytes));
    expect(read).toMatchObject({ events: 2, outputText: 'abcde' });
    expect(read.chunks).toHaveLength(6);
  });

  it('gets the very chunks and text that another gets one by one, however the bytes are cut', async () => {
    const delta = fc.oneof(
      { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 9 }).map((content) => ({ content })) },
      fc.string({ maxLength: 5 }).map((reasoning) => ({ reasoning })),
      fc.constant({ content: 'data: {"x":1}\n\ndata: [DONE]' }),
      fc
        .string({ maxLength: 5 })
        .map((text) => ({ tool_calls: [{ index: 0, function: { arguments: text } }] })),
      fc.constant({}),
    );
    const event = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.tuple(delta, fc.nat(1)).map(([part, index]) => data(chunk(part, null, index))),
      },
      { weight: 3, arbitrary: delta.map((part) => data(chunk(part, null, 0, { obfuscation: 'xy' }))) },
      fc.constantFrom(
        [': ping\n\n'],
        ['data:{"choices":[]}\n\n'],
        ['id: 1\ndata: {"choices":\ndata: []}\n\n'],
      ),
      delta.map((part) => [`data: ${JSON.stringify(chunk(part))}\nevent: error\n\n`]),
      fc.constantFrom(['data: {"error":{"message":"no"}}\n\n'], ['data: nonsense\n\n'], ['\n']),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 12 }),
        fc.array(fc.nat(3000), { maxLength: 6 }),
        fc.boolean(),
        async (events, cuts, isCrLf) => {
          const text = [...events.flat(), ...END].join('');
          const all = bytes(isCrLf ? text.replaceAll('\n', '\r\n') : text);
          const ends = [...cuts.filter((cut) => cut < all.length).sort((a, b) => a - b), all.length];
          const packets = ends.map((end, at) => all.subarray(at === 0 ? 0 : ends[at - 1], end));
          const { events: _one, failure, ...singly } = await readSingly(packets);
          const { events: _other, failure: sameFailure, ...inRuns } = await readInRuns(packets);
          expect(inRuns).toEqual(singly);
          expect(sameFailure).toEqual(failure);
        },
      ),
      { numRuns: 120 },
    );
  });

  it('gets what came before a failure first', async () => {
    const read = await readInRuns([bytes([...data(...TEXTS), 'data: nonsense\n\n'].join(''))]);
    expect(read).toMatchObject({ outputText: 'abcde', failure: { code: 'provider_bad_response' } });
  });
});

function untilReady(events: ChatEventStream): Promise<void> | undefined {
  const woken = Promise.withResolvers<void>();
  return events.whenReady(woken.resolve) ? woken.promise : undefined;
}

describe('a reader who waits for what is ready', () => {
  it('is woken by bytes, by the end, by a failure, and when the stream is left', async () => {
    const wakers: ((of: ReturnType<typeof opened>) => unknown)[] = [
      ({ body }) => body.push(bytes(data(...TEXTS).join(''))),
      ({ body }) => body.end(),
      ({ body }) => body.fail(new Error('cut')),
      ({ events }) => events.return(),
    ];
    for (const wake of wakers) {
      const stream = opened();
      let isAwake = false;
      const waiting = untilReady(stream.events)?.then(() => (isAwake = true));
      await new Promise((resolve) => setImmediate(resolve));
      expect(isAwake).toBe(false);
      void wake(stream);
      await waiting;
      expect(isAwake).toBe(true);
    }
  });

  it('takes nothing from who reads meanwhile', async () => {
    const { body, events } = opened();
    const waiting = untilReady(events);
    const reading = events.next();
    body.push(bytes(data(TEXTS[0]).join('')));
    await waiting;
    expect((await reading).value?.outputText).toBe('a');
    expect(events.takeReady()).toBeUndefined();
  });

  it('is told to ask when there is nothing to wait for', async () => {
    const { body, events } = opened();
    body.push(bytes(data(TEXTS[0]).join('')));
    expect(untilReady(events)).toBeUndefined();
    expect(events.takeReady()?.outputText).toBe('a');
    body.end();
    expect(untilReady(events)).toBeUndefined();
    await expect(events.next()).rejects.toMatchObject({ code: 'provider_bad_response' });
  });
});
