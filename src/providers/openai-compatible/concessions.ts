import { ProviderError } from '@app/contracts';
import type { OpenAiDialect, OutputLimitField } from './openai-compatible.dialect.js';
import { REASONING_FIELDS } from './openai-compatible.request.js';
import { asArray, asObject, type WireObject } from './openai-compatible.wire.js';

/** A body to try instead of one that the server refused, and the client's field that it lacks. */
export interface Concession {
  readonly body: WireObject;
  readonly dropped?: string;
  /** What to remember for the next call to the same model. */
  readonly learned?: Partial<OpenAiDialect>;
}

/** Fields that a client sends back as it got them from the gateway, and how they look then. */
interface Given {
  readonly fields: readonly string[];
  /** In tool calls, too. */
  readonly inCalls: boolean;
  looksGiven(field: string, value: unknown): boolean;
}

const EXTRA: Given = {
  fields: ['extra_content'],
  inCalls: true,
  looksGiven: (_field, value) => {
    const { google, ...others } = asObject(value) ?? {};
    const { thought_signature: signature, ...more } = asObject(google) ?? {};
    return typeof signature === 'string' && Object.keys({ ...others, ...more }).length === 0;
  },
};

const reasoningBy = (name: string): Given => ({
  fields: REASONING_FIELDS,
  inCalls: false,
  looksGiven: (field, value) =>
    field === 'reasoning_details' ? Array.isArray(value) : field === name && typeof value === 'string',
});

/** Without these a request would mean something else. */
const ESSENTIAL = new Set([
  'model',
  'messages',
  'input',
  'max_output_tokens',
  'stream',
  'tools',
  'functions',
  'response_format',
  'text',
]);
const NOT_KNOWN =
  /unsupported|not support|unknown|unrecogni[sz]ed|not permitted|not allowed|not (?:a )?valid|does not match|forbidden|extra inputs|unexpected/i;

/**
 * Answers a refusal that is about one field. What the gateway itself writes always gives way: the name of the output limit
 * (newer models and older servers disagree on it), `stream_options`, and the reasoning and signatures of earlier turns,
 * which clients have from the gateway under names that not every server takes back. A client's own field gives way only
 * when `dropUnsupported` allows it. Only refusals of what the gateway itself writes are remembered: one client may put
 * anything into these fields, and the others must not lose them for it.
 *
 * @param reasoningName  the name under which the gateway sends reasoning to this model
 * @returns `undefined` when the refusal stands
 */
export function concede(
  body: WireObject,
  refusal: Error,
  dropUnsupported: boolean,
  reasoningName: OpenAiDialect['reasoningName'] = 'reasoning_content',
): Concession | undefined {
  if (!isRefusal(refusal)) return undefined;
  return (
    renameLimit(body, refusal) ??
    dropStreamOptions(body, refusal) ??
    dropOfTurns(reasoningBy(reasoningName), body, refusal, { takesReasoningContent: false }) ??
    dropOfTurns(EXTRA, body, refusal, { takesExtraContent: false }) ??
    concedeField(body, refusal, dropUnsupported)
  );
}

/** The same for a wire on which only the client's fields can give way. */
export function concedeField(
  body: WireObject,
  refusal: Error,
  dropUnsupported: boolean,
): Concession | undefined {
  if (!dropUnsupported || !isRefusal(refusal) || refusal.code !== 'unsupported_parameter') return undefined;
  const { param } = refusal;
  if (param === null || ESSENTIAL.has(param) || body[param] === undefined) return undefined;
  const { [param]: _dropped, ...rest } = body;
  return { body: rest, dropped: param };
}

function isRefusal(error: Error): error is ProviderError {
  if (!(error instanceof ProviderError)) return false;
  const refused = error.code === 'provider_rejected' || error.code === 'unsupported_parameter';
  return refused && (error.upstreamStatus === 400 || error.upstreamStatus === 422);
}

/** What some servers write into `param` is no field. */
function isAbout(field: string, refusal: ProviderError, body: WireObject): boolean {
  if (refusal.param === field)
    return refusal.code === 'unsupported_parameter' || NOT_KNOWN.test(refusal.message);
  // For a field of a message some servers name `messages`.
  const isAboutAnother = refusal.param !== null && refusal.param !== 'messages' && refusal.param in body;
  return !isAboutAnother && mentions(refusal.message, field) && NOT_KNOWN.test(refusal.message);
}

/** `reasoning` is not `reasoning_effort`. */
function mentions(message: string, field: string): boolean {
  return new RegExp(`\\b${field}\\b`).test(message);
}

function renameLimit(body: WireObject, refusal: ProviderError): Concession | undefined {
  const from = 'max_completion_tokens' in body ? 'max_completion_tokens' : 'max_tokens';
  if (!(from in body) || !isAbout(from, refusal, body)) return undefined;
  const to: OutputLimitField = from === 'max_tokens' ? 'max_completion_tokens' : 'max_tokens';
  const { [from]: limit, ...rest } = body;
  return { body: { ...rest, [to]: limit }, learned: { outputLimitField: () => to } };
}

function dropStreamOptions(body: WireObject, refusal: ProviderError): Concession | undefined {
  if (!('stream_options' in body) || !isAbout('stream_options', refusal, body)) return undefined;
  const { stream_options: options, ...rest } = body;
  const isOwn = Object.keys(asObject(options) ?? {}).every((option) => option === 'include_usage');
  return { body: rest, ...(isOwn ? { learned: { streamUsage: false } } : {}) };
}

/** Takes fields out of messages and their tool calls. */
function dropOfTurns(
  given: Given,
  body: WireObject,
  refusal: ProviderError,
  learned: Partial<OpenAiDialect>,
): Concession | undefined {
  const { fields } = given;
  const messages = asArray(body.messages);
  const holders = messages.flatMap((message) => [message, ...callsOf(message)]);
  const refused = fields.filter(
    (field) => !(field in body) && holders.some((at) => isIn(at, field)) && isAbout(field, refusal, body),
  );
  if (refused.length === 0) return undefined;
  const kept = messages.map((message) => {
    const rest = without(message, fields);
    if (callsOf(rest).some((call) => fields.some((field) => isIn(call, field))))
      rest.tool_calls = callsOf(rest).map((call) => without(call, fields));
    return rest;
  });
  const isOwn = messages.every((message) => isAsGiven(message, given));
  const isForAll = isOwn && refused.every((field) => isRefusedWhole(field, refusal));
  return { body: { ...body, messages: kept }, ...(isForAll ? { learned } : {}) };
}

function isAsGiven(message: unknown, { fields, inCalls, looksGiven }: Given): boolean {
  const isAnswer = asObject(message)?.role === 'assistant';
  const isGiven = (holder: unknown, isPlace: boolean): boolean =>
    fields.every(
      (field) => !isIn(holder, field) || (isPlace && looksGiven(field, asObject(holder)?.[field])),
    );
  return isGiven(message, isAnswer) && callsOf(message).every((call) => isGiven(call, isAnswer && inCalls));
}

/** And not for what is in it: `extra_content.google`, `["extra_content","google"]`. What details may contain, nobody knows. */
function isRefusedWhole(field: string, { param, message }: ProviderError): boolean {
  const inside = new RegExp(`\\b${field}\\b["'\`]?(?:\\.\\w|\\[|/\\w|\\s*->|,["\\d])`);
  return field !== 'reasoning_details' && !inside.test(`${param} ${message}`);
}

function callsOf(message: unknown): unknown[] {
  return asArray(asObject(message)?.tool_calls);
}

function isIn(holder: unknown, field: string): boolean {
  return asObject(holder)?.[field] !== undefined;
}

function without(holder: unknown, fields: readonly string[]): WireObject {
  const rest = { ...asObject(holder) };
  for (const field of fields) delete rest[field];
  return rest;
}
