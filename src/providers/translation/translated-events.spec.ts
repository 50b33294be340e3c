import { type ChatStreamEvent, chunksOf } from '@app/contracts';
import fc from 'fast-check';
import type { Dispatcher } from 'undici';
import { describe, expect, it } from 'vitest';
import { AnthropicEvents } from '../anthropic/anthropic.events.js';
import { GeminiEvents } from '../google/google.events.js';
import { GeminiStreamTranslator } from '../google/google.stream.js';
import { LightBody } from '../http/light-body.js';
import { type StreamTranslation, TranslatedEvents } from './translated-events.js';

const CONTROLLER = {
  pause: () => undefined,
  resume: () => undefined,
  abort: () => undefined,
} as unknown as Dispatcher.DispatchController;
const SIGNAL = new AbortController().signal;
const bytes = (text: string) => new TextEncoder().encode(text);
const named = (event: { type: string }) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
const data = (event: object) => `data: ${JSON.stringify(event)}\n\n`;

interface Vendor {
  readonly translation: () => StreamTranslation;
  /** A whole stream of these texts. */
  readonly stream: (texts: readonly string[]) => string;
  /** What ends it badly. */
  readonly fault: string;
}

const VENDORS: Record<string, Vendor> = {
  anthropic: {
    translation: () =>
      new AnthropicEvents(
        {
          clientModel: 'm',
          created: 1,
          legacyFunctions: false,
          answersByTool: false,
          providerRequestId: undefined,
        },
        SIGNAL,
      ),
    stream: (texts) =>
      [
        { type: 'message_start', message: { id: 'msg_1', usage: { input_tokens: 3, output_tokens: 1 } } },
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        ...texts.map((text) => ({
          type: 'content_block_delta',
          index: 0,
          delta: { type: 'text_delta', text },
        })),
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 9 } },
        { type: 'message_stop' },
      ]
        .map(named)
        .join(''),
    fault: named({ type: 'error' }),
  },
  google: {
    translation: () =>
      new GeminiEvents(
        new GeminiStreamTranslator({
          clientModel: 'm',
          legacyFunctions: false,
          oneCall: false,
          citesSources: false,
          paysEverySearch: true,
          now: () => 1,
        }),
        SIGNAL,
      ),
    stream: (texts) =>
      [...texts, '']
        .map((text, at) =>
          data({
            candidates: [
              { content: { parts: [{ text }] }, ...(at === texts.length ? { finishReason: 'STOP' } : {}) },
            ],
            usageMetadata: { promptTokenCount: 3, candidatesTokenCount: at + 1 },
            responseId: 'r',
          }),
        )
        .join(''),
    fault: 'data: {"error":{"code":503,"message":"no"}}\n\n',
  },
};

/** The texts `a` and `b`, and nothing more yet. */
function begun({ stream }: Vendor): string {
  const whole = stream(['a', 'b', 'c']);
  const before = whole.slice(0, whole.indexOf('"c"'));
  return before.slice(0, before.lastIndexOf('\n\n') + 2);
}

interface Read {
  readonly chunks: string[];
  outputText: string;
  usage: unknown;
  failure?: unknown;
}

/** Reads the packets, which are all there, one by one or in runs. */
async function read({ translation }: Vendor, packets: readonly Uint8Array[], inRuns: boolean): Promise<Read> {
  const body = new LightBody(CONTROLLER);
  for (const packet of packets) body.push(packet);
  body.end();
  const events = new TranslatedEvents(body, translation());
  const result: Read = { chunks: [], outputText: '', usage: undefined };
  try {
    for (;;) {
      const event = (inRuns ? events.takeReady() : undefined) ?? (await events.next()).value;
      if (!event) return result;
      note(result, event);
    }
  } catch (failure) {
    return { ...result, failure };
  }
}

function note(result: Read, { json, outputText, usage }: ChatStreamEvent): void {
  result.chunks.push(...chunksOf(json));
  result.outputText += outputText;
  result.usage = usage ?? result.usage;
}

describe.each(Object.entries(VENDORS))('%s', (_name, vendor) => {
  it('gives the same in runs as one by one, however the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'binary', maxLength: 9 }), { maxLength: 8 }),
        fc.array(fc.nat(2_000), { maxLength: 6 }),
        fc.boolean(),
        async (texts, cuts, isCut) => {
          const all = bytes(vendor.stream(texts) + (isCut ? '' : vendor.fault)).subarray(
            0,
            isCut ? -30 : undefined,
          );
          const ends = [...cuts.filter((cut) => cut < all.length).sort((a, b) => a - b), all.length];
          const packets = ends.map((end, at) => all.subarray(at === 0 ? 0 : ends[at - 1], end));
          const singly = await read(vendor, packets, false);
          expect(await read(vendor, packets, true)).toEqual(singly);
        },
      ),
      { numRuns: 120 },
    );
  });

  it('joins the texts that came together, and keeps the end apart', async () => {
    const body = new LightBody(CONTROLLER);
    const events = new TranslatedEvents(body, vendor.translation());
    body.push(bytes(vendor.stream(['a', 'b', 'c'])));
    const run = events.takeReady();
    expect(run?.outputText).toBe('abc');
    expect(chunksOf(run?.json ?? '').length).toBeGreaterThanOrEqual(3);
    expect(run?.finishReason).toBeUndefined();
    expect(run?.usage?.inputTokens).toBe(3);
    expect(events.takeReady()).toMatchObject({ finishReason: 'stop', usage: { inputTokens: 3 } });
  });

  it('gives what came before a failure first', async () => {
    const { outputText, failure } = await read(vendor, [bytes(begun(vendor) + vendor.fault)], true);
    expect(outputText).toBe('ab');
    expect(failure).toMatchObject({ name: 'ProviderError' });
  });

  it('wakes who waits, and closes the upstream when it is left', async () => {
    const body = new LightBody(CONTROLLER);
    const events = new TranslatedEvents(body, vendor.translation());
    const woken = Promise.withResolvers<void>();
    expect(events.whenReady(woken.resolve)).toBe(true);
    body.push(bytes(begun(vendor)));
    await woken.promise;
    expect(events.takeReady()?.outputText).toBe('ab');
    await events.return();
    expect(await events.next()).toEqual({ done: true, value: undefined });
    expect(events.takeReady()).toBeUndefined();
    await expect(body.next()).rejects.toMatchObject({ code: 'BODY_CANCELLED' });
  });
});
