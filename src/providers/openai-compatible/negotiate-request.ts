import { type ProviderCall, ProviderError } from '@app/contracts';
import type { OutputLimitField } from './openai-compatible.dialect.js';
import { toProviderError } from './openai-compatible.errors.js';
import { REASONING_FIELDS } from './openai-compatible.request.js';
import { asArray, asObject, type WireObject } from './openai-compatible.wire.js';

/** A body to try instead of one that the server refused, and the client's field that it lacks. */
export interface Concession {
  readonly body: WireObject;
  readonly dropped?: string;
  /** What to remember for the next call to the same model. */
  readonly outputLimitField?: OutputLimitField;
  readonly withoutStreamOptions?: true;
  readonly withoutReasoningContent?: true;
  readonly withoutExtraContent?: true;
}

/** A request as it was sent in the end. */
export interface Sent<Answer> {
  readonly answer: Answer;
  readonly droppedParams: readonly string[];
}

export interface Negotiation<Answer> {
  readonly call: Pick<ProviderCall, 'signal' | 'dropUnsupported'>;
  readonly concede: (body: WireObject, refusal: Error, dropUnsupported: boolean) => Concession | undefined;
  readonly post: (body: WireObject) => Promise<Answer>;
  /** What the server took in the end: a refusal alone may quote what a client wrote. */
  readonly onConceded?: (concessions: readonly Concession[]) => void;
}

/** One request may be corrected so often before the server's refusal is handed on. */
const MAX_CONCESSIONS = 4;

/**
 * After a failure: corrects the request as long as the server refuses it for a field that it can do without.
 *
 * @throws ProviderError, or the signal's reason
 */
export async function negotiate<Answer>(
  refused: WireObject,
  failure: unknown,
  { call, concede: concedeTo, post, onConceded }: Negotiation<Answer>,
): Promise<Sent<Answer>> {
  const made: Concession[] = [];
  let body = refused;
  let thrown = failure;
  for (;;) {
    const refusal = toProviderError(thrown, call.signal);
    const concession =
      made.length < MAX_CONCESSIONS ? concedeTo(body, refusal, call.dropUnsupported) : undefined;
    if (!concession) throw refusal;
    made.push(concession);
    body = concession.body;
    try {
      const answer = await post(body);
      onConceded?.(made);
      return { answer, droppedParams: made.flatMap(({ dropped }) => dropped ?? []) };
    } catch (error) {
      thrown = error;
    }
  }
}

const EXTRA = ['extra_content'] as const;

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
 * Answers a refusal that is about one field. What the gateway writes itself gives way always: the name of the
 * output limit (newer models and older servers disagree on it), `stream_options`, and the reasoning and signatures of
 * earlier turns, which the gateway gave to the client under names that not every server takes back. A field of the client's gives way
 * when `dropUnsupported` says so.
 *
 * @returns `undefined` when the refusal stands
 */
export function concede(body: WireObject, refusal: Error, dropUnsupported: boolean): Concession | undefined {
  if (!(refusal instanceof ProviderError) || !isRefusal(refusal)) return undefined;
  return (
    renameLimit(body, refusal) ??
    dropStreamOptions(body, refusal) ??
    dropOfTurns(REASONING_FIELDS, body, refusal, { withoutReasoningContent: true }) ??
    dropOfTurns(EXTRA, body, refusal, { withoutExtraContent: true }) ??
    dropField(body, refusal, dropUnsupported)
  );
}

/** The same for a wire on which only the client's fields can give way. */
export function concedeField(
  body: WireObject,
  refusal: Error,
  dropUnsupported: boolean,
): Concession | undefined {
  if (!(refusal instanceof ProviderError) || !isRefusal(refusal)) return undefined;
  return dropField(body, refusal, dropUnsupported);
}

function isRefusal(error: ProviderError): boolean {
  const refused = error.code === 'provider_rejected' || error.code === 'unsupported_parameter';
  return refused && (error.upstreamStatus === 400 || error.upstreamStatus === 422);
}

/** Some servers write into `param` what is no field. */
function isAbout(field: string, refusal: ProviderError, body: WireObject): boolean {
  if (refusal.param === field)
    return refusal.code === 'unsupported_parameter' || NOT_KNOWN.test(refusal.message);
  // A field of a message may be told of as one of `messages`.
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
  return { body: { ...rest, [to]: limit }, outputLimitField: to };
}

function dropStreamOptions(body: WireObject, refusal: ProviderError): Concession | undefined {
  if (!('stream_options' in body) || !isAbout('stream_options', refusal, body)) return undefined;
  const { stream_options: _options, ...rest } = body;
  return { body: rest, withoutStreamOptions: true };
}

/** From messages and their calls. */
function dropOfTurns(
  fields: readonly string[],
  body: WireObject,
  refusal: ProviderError,
  remembered: Omit<Concession, 'body'>,
): Concession | undefined {
  const messages = asArray(body.messages);
  const isRefused = (field: string): boolean => !(field in body) && isAbout(field, refusal, body);
  const holders = messages.flatMap((message) => [message, ...callsOf(message)]);
  if (!fields.some((field) => holders.some((at) => isIn(at, field)) && isRefused(field))) return undefined;
  const kept = messages.map((message) => {
    const rest = without(message, fields);
    if (callsOf(rest).some((call) => fields.some((field) => isIn(call, field))))
      rest.tool_calls = callsOf(rest).map((call) => without(call, fields));
    return rest;
  });
  return { body: { ...body, messages: kept }, ...remembered };
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

function dropField(body: WireObject, refusal: ProviderError, allowed: boolean): Concession | undefined {
  const field = refusal.param;
  if (!allowed || refusal.code !== 'unsupported_parameter' || field === null) return undefined;
  if (ESSENTIAL.has(field) || asObject(body)?.[field] === undefined) return undefined;
  const { [field]: _dropped, ...rest } = body;
  return { body: rest, dropped: field };
}
