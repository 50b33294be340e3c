import assert from 'node:assert/strict';
import type { ChatStreamEvent } from '@app/contracts';
import fc from 'fast-check';
import {
  ANTHROPIC_EXAMPLES,
  type AnswerExamples,
  GOOGLE_EXAMPLES,
  OPENAI_EXAMPLES,
} from '../answer-examples.js';
import { expectCleanPrototypes, expectGatewayError, expectUsage } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { cuts, type Json, mutated, split } from '../hostile-json.js';
import { callFor, CLIENT_MODEL, loadStrategy, type StrategyOver, type Vendor } from '../vendor-strategies.js';
import { VENDOR_FAULTS } from './answers-of-vendors.js';

const utf8 = new TextEncoder();

/** How the events of a stream are written down. */
interface Writing {
  readonly lineEnd: string;
  /** Line breaks inside the JSON, which the format allows: every line gets its own `data:`. */
  readonly pretty: boolean;
  readonly named: boolean;
  readonly done: boolean;
  /** Bytes put in somewhere, and how many are taken out there. */
  readonly spoilt: readonly { at: number; removed: number; bytes: Uint8Array }[];
}

const USUAL: Writing = { lineEnd: '\n', pretty: false, named: true, done: true, spoilt: [] };

const SPOILERS = [
  '\n\n',
  '\r',
  '\n',
  '\ndata: ',
  '\ndata:\ndata: ',
  ': comment\n',
  '\nevent: error\n',
  '\nid: 7\nretry: 1\n',
  '"',
  '\\',
  '}',
  '{"delta":{',
  '\u0000',
  '\u2028',
  '[DONE]',
].map((text) => utf8.encode(text));

const writing = (): fc.Arbitrary<Writing> =>
  fc.record({
    lineEnd: fc.constantFrom('\n', '\n', '\r\n', '\r'),
    pretty: fc.boolean(),
    named: fc.boolean(),
    done: fc.boolean(),
    spoilt: fc.array(
      fc.record({
        at: fc.nat(20_000),
        removed: fc.nat(3),
        bytes: fc.oneof(fc.constantFrom(...SPOILERS), fc.uint8Array({ maxLength: 4 })),
      }),
      { maxLength: 3 },
    ),
  });

function write(events: Json, { lineEnd, pretty, named, done, spoilt }: Writing): Uint8Array {
  const blocks = (Array.isArray(events) ? events : [events]).map((event) => {
    const type: unknown = Reflect.get(Object(event), 'type');
    const name = named && typeof type === 'string' ? `event: ${type}${lineEnd}` : '';
    const lines = JSON.stringify(event, undefined, pretty ? 1 : undefined).split('\n');
    return `${name}${lines.map((line) => `data: ${line}${lineEnd}`).join('')}${lineEnd}`;
  });
  const text = blocks.join('') + (done ? `data: [DONE]${lineEnd}${lineEnd}` : '');
  return spoilt.reduce<Uint8Array>((bytes, { at, removed, bytes: added }) => {
    const place = at % (bytes.length + 1);
    return Buffer.concat([bytes.subarray(0, place), added, bytes.subarray(place + removed)]);
  }, utf8.encode(text));
}

interface Reading {
  readonly events: readonly ChatStreamEvent[];
  readonly error: unknown;
}

async function readAll(strategyOver: StrategyOver, pieces: readonly Uint8Array[]): Promise<Reading> {
  const events: ChatStreamEvent[] = [];
  try {
    const stream = await strategyOver(pieces).stream(callFor(true));
    for await (const event of stream.events) events.push(event);
    return { events, error: undefined };
  } catch (error) {
    return { events, error };
  }
}

function expectEvent({ json, outputText, usage }: ChatStreamEvent): void {
  assert.ok(!/[\r\n]/.test(json), `an event of more than one line: ${JSON.stringify(json)}`);
  const chunk = JSON.parse(json) as { object?: unknown; model?: unknown; choices?: unknown };
  assert.equal(chunk.object, 'chat.completion.chunk');
  assert.equal(chunk.model, CLIENT_MODEL);
  assert.ok(Array.isArray(chunk.choices));
  for (const { delta, finish_reason: finish } of chunk.choices as {
    delta: object;
    finish_reason: unknown;
  }[]) {
    const { content } = delta as { content?: unknown };
    assert.ok(typeof content !== 'string' || outputText.includes(content), 'what is written is counted');
    assert.match(String(finish), /^(null|stop|length|tool_calls|content_filter|function_call)$/);
  }
  assert.equal(typeof outputText, 'string');
  expectUsage(usage);
}

/** Ids and times that are made up differ from reading to reading. */
function comparable({ events, error }: Reading): unknown {
  const withoutIds = events.map(({ json, outputText, finishReason }) => [
    json.replaceAll(/(call_|chatcmpl-|"created":)[\w-]+/g, '$1'),
    outputText,
    finishReason,
  ]);
  return [withoutIds, error instanceof Error ? error.message : error];
}

/** The text that an event brings, where it is in its usual place; read without the translators. */
const TEXTS: Readonly<Record<Vendor, (event: Loose) => unknown>> = {
  openai: (event) => openAiText(event),
  compatible: (event) => openAiText(event),
  anthropic: (event) => {
    if (event?.type === 'content_block_start' && event.content_block?.type === 'text')
      return event.content_block.text;
    return event?.type === 'content_block_delta' && event.delta?.type === 'text_delta'
      ? event.delta.text
      : '';
  },
  google: (event) => {
    const texts = event?.candidates?.[0]?.content?.parts?.map?.((part: Loose) =>
      part?.thought === true ? '' : part?.text,
    );
    return texts?.every((text: unknown) => typeof text === 'string') ? texts.join('') : undefined;
  },
};

/** Looked into without a check at every step. */
// oxlint-disable-next-line typescript/no-explicit-any
type Loose = any;

function openAiText(event: Loose): unknown {
  return event?.choices?.length > 0 ? (event.choices[0]?.delta?.content ?? '') : '';
}

/** What was said arrives whole and once, however the chunks were made. */
function expectText(vendor: Vendor, events: Json, { events: chunks }: Reading): void {
  const all: Loose[] = Array.isArray(events) ? events : [];
  const last = all.findIndex((event) => event?.type === 'message_stop'); // Anthropic's: nothing follows
  const texts = (last === -1 ? all : all.slice(0, last)).map(TEXTS[vendor]);
  if (!texts.every((text) => typeof text === 'string')) return;
  const told = chunks.map(({ json }) => openAiText(JSON.parse(json)));
  assert.equal(told.join(''), texts.join(''));
}

function streamTarget(vendor: Vendor, examples: AnswerExamples): FuzzTarget {
  const streams = examples.streams as readonly Json[];
  return {
    name: `${vendor}-stream`,
    promise:
      'any bytes are chunks of one line each and a fair end, or a provider error, however they are cut',
    shortRuns: 600,
    async property() {
      const strategyOver = await loadStrategy(vendor);
      // Else a strategy that came to nothing would hold every promise.
      const ordinary = await readAll(strategyOver, [write(streams[0]!, USUAL)]);
      assert.equal(ordinary.error, undefined);
      assert.ok(ordinary.events.length > 0);
      return fc.asyncProperty(mutated(streams, 3), writing(), cuts(), async (events, how, places) => {
        const bytes = write(events, how);
        const whole = await readAll(strategyOver, [bytes]);
        if (whole.error !== undefined) expectGatewayError(whole.error, VENDOR_FAULTS);
        for (const event of whole.events) expectEvent(event);
        if (whole.error === undefined && how.spoilt.length === 0) expectText(vendor, events, whole);
        assert.deepEqual(comparable(await readAll(strategyOver, split(bytes, places))), comparable(whole));
        expectCleanPrototypes();
      });
    },
  };
}

export const OPENAI_STREAM = streamTarget('openai', OPENAI_EXAMPLES);
export const COMPATIBLE_STREAM = streamTarget('compatible', OPENAI_EXAMPLES);
export const ANTHROPIC_STREAM = streamTarget('anthropic', ANTHROPIC_EXAMPLES);
export const GOOGLE_STREAM = streamTarget('google', GOOGLE_EXAMPLES);
