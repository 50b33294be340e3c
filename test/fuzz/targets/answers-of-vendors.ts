import assert from 'node:assert/strict';
import type { ChatCompletion } from '@app/contracts';
import fc from 'fast-check';
import {
  ANTHROPIC_EXAMPLES,
  type AnswerExamples,
  GOOGLE_EXAMPLES,
  OPENAI_EXAMPLES,
} from '../answer-examples.js';
import { expectCleanPrototypes, expectGatewayError, expectUsage } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { mutated } from '../hostile-json.js';
import { callFor, CLIENT_MODEL, loadStrategy, type Vendor } from '../vendor-strategies.js';

/** What a vendor can make of an answer. Never 401, 402 or 403: those would accuse the client. */
export const VENDOR_FAULTS = [400, 404, 413, 429, 502, 503, 504];

/** The text of an answer's first choice, where it is in its usual place; read without the translators. */
const TEXTS: Readonly<Record<Vendor, (body: Loose) => unknown>> = {
  openai: (body) => openAiText(body),
  compatible: (body) => openAiText(body),
  anthropic: ({ content }) => joined(content?.filter?.((block: Loose) => block?.type === 'text')),
  google: (body) =>
    joined(body?.candidates?.[0]?.content?.parts?.filter?.((part: Loose) => part?.thought !== true)),
};

/** Looked into without a check at every step. */
// oxlint-disable-next-line typescript/no-explicit-any
type Loose = any;

/** Mistral's is a list of parts; there are servers whose parts are bare texts. */
function openAiText(body: Loose): unknown {
  const content = body?.choices?.[0]?.message?.content;
  if (!Array.isArray(content)) return content;
  const parts = content.map((part) => (typeof part === 'string' ? { type: 'text', text: part } : part));
  return joined(parts.filter((part) => part?.type === 'text'));
}

/** `undefined` unless all of them are texts. */
function joined(parts: Loose): string | undefined {
  const isText =
    Array.isArray(parts) && parts.length > 0 && parts.every((part) => typeof part?.text === 'string');
  return isText ? parts.map((part: Loose) => part.text).join('') : undefined;
}

function answerTarget(vendor: Vendor, examples: AnswerExamples): FuzzTarget {
  return {
    name: `${vendor}-answer`,
    promise: 'any JSON of a provider is a completion with usage that can be billed, or a provider error',
    shortRuns: 1_000,
    async property() {
      const strategyOver = await loadStrategy(vendor);
      // Else a strategy that came to nothing would hold every promise.
      const [ordinary] = examples.whole;
      expectCompletion((await strategyOver([written(ordinary)]).complete(callFor(false))).completion);
      return fc.asyncProperty(mutated(examples.whole, 5), async (body) => {
        try {
          const { completion, usage } = await strategyOver([written(body)]).complete(callFor(false));
          expectCompletion(JSON.parse(JSON.stringify(completion)) as ChatCompletion);
          if (vendor === 'anthropic' || vendor === 'google') expectNames(completion);
          expectUsage(usage);
          const text = TEXTS[vendor](Object(body));
          if (typeof text === 'string') assert.equal(completion.choices[0]?.message.content ?? '', text);
        } catch (error) {
          expectGatewayError(error, VENDOR_FAULTS);
        }
        expectCleanPrototypes();
      });
    },
  };
}

function written(body: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(body));
}

function expectCompletion(completion: ChatCompletion): void {
  assert.equal(completion.object, 'chat.completion');
  assert.equal(completion.model, CLIENT_MODEL);
  assert.ok(typeof completion.id === 'string' && Number.isInteger(completion.created));
  assert.ok(completion.choices.length > 0);
  for (const choice of completion.choices) {
    assert.equal(choice.message.role, 'assistant');
    assert.ok(typeof choice.message.content === 'string' || choice.message.content === null);
    assert.match(choice.finish_reason, /^(stop|length|tool_calls|content_filter|function_call)$/);
    for (const call of choice.message.tool_calls ?? []) assert.equal(typeof call.id, 'string');
  }
}

/** Where the calls are ours; an OpenAI-compatible server's pass as they are. */
function expectNames({ choices }: ChatCompletion): void {
  const calls = choices.flatMap(({ message }) => message.tool_calls ?? []);
  for (const call of calls) if (call.type === 'function') assert.equal(typeof call.function.name, 'string');
}

export const OPENAI_ANSWER = answerTarget('openai', OPENAI_EXAMPLES);
export const COMPATIBLE_ANSWER = answerTarget('compatible', OPENAI_EXAMPLES);
export const ANTHROPIC_ANSWER = answerTarget('anthropic', ANTHROPIC_EXAMPLES);
export const GOOGLE_ANSWER = answerTarget('google', GOOGLE_EXAMPLES);
