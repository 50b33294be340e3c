import { maskSecrets } from './mask-secrets.js';

/** What may be told of an error: these fields and nothing else (no headers, no body, no config, no query parameters). */
export interface DescribedError {
  readonly type: string;
  readonly message: string;
  readonly code?: string | number;
  readonly stack?: string;
  readonly cause?: DescribedError;
}

const MAX_TEXT = 4_000;
const MAX_CAUSES = 3;
/** V8 and JSON parsers quote the text they choked on, which may be a prompt. */
const QUOTED_SOURCE = /(["'`])(?:(?!\1)[\s\S])*\1(?:\.{3})?/g;

/** @param error  anything that was thrown */
export function describeError(error: unknown): DescribedError {
  const chain = errorChain(error);
  const described = chain.reduceRight<DescribedError | undefined>(
    (cause, one) => describeOne(one, cause),
    undefined,
  );
  return (
    described ?? { type: typeof error, message: typeof error === 'string' ? safeText(error) : 'not an error' }
  );
}

/** The error and its causes, the outermost first. */
export function errorChain(error: unknown): Error[] {
  const chain: Error[] = [];
  let current = error;
  while (current instanceof Error && chain.length <= MAX_CAUSES) {
    chain.push(current);
    current = current.cause;
  }
  return chain;
}

/**
 * The message as far as it may be told. Providers quote prompts in theirs, so of errors that carry an HTTP status (ours of
 * a provider, and the SDK's behind it) only that remains; parsers quote what they choked on, so quotations are cut out.
 */
export function errorMessage(error: Error): string {
  if ('status' in error && typeof error.status === 'number') return `HTTP status ${error.status}`;
  return safeText(
    error instanceof SyntaxError ? error.message.replace(QUOTED_SOURCE, '[text]') : error.message,
  );
}

/** Only the frames: the first lines of a stack repeat the message. */
export function stackFrames(error: Error): string {
  const stack = error.stack ?? '';
  const message = stack.indexOf(error.message);
  const first = stack.indexOf('\n    at ', message < 0 ? 0 : message + error.message.length);
  return first < 0 ? '' : stack.slice(first + 1, first + 1 + MAX_TEXT);
}

export function errorType(error: Error): string {
  return error.constructor.name || error.name;
}

function describeOne(error: Error, cause: DescribedError | undefined): DescribedError {
  const code =
    'code' in error && (typeof error.code === 'string' || typeof error.code === 'number')
      ? error.code
      : undefined;
  const stack = stackFrames(error);
  return {
    type: errorType(error),
    message: errorMessage(error),
    ...(code !== undefined && { code }),
    ...(stack !== '' && { stack }),
    ...(cause && { cause }),
  };
}

function safeText(text: string): string {
  return maskSecrets(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
}
