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
export function describeError(error: unknown, depth = 0): DescribedError {
  if (!(error instanceof Error))
    return {
      type: typeof error,
      message: typeof error === 'string' ? safeText(error) : 'a value that is no error',
    };
  const code =
    'code' in error && (typeof error.code === 'string' || typeof error.code === 'number')
      ? error.code
      : undefined;
  return {
    type: error.constructor.name || error.name,
    message: errorMessage(error),
    ...(code !== undefined && { code }),
    ...(error.stack && { stack: stackFrames(error.stack) }),
    ...(error.cause !== undefined && depth < MAX_CAUSES && { cause: describeError(error.cause, depth + 1) }),
  };
}

/** The message without credentials; of a syntax error also without the quoted source. */
export function errorMessage(error: Error): string {
  return safeText(
    error instanceof SyntaxError ? error.message.replace(QUOTED_SOURCE, '[text]') : error.message,
  );
}

/** Only the frames: the first lines of a stack repeat the message. */
function stackFrames(stack: string): string {
  const first = stack.search(/\n\s+at /);
  return first < 0 ? '' : maskSecrets(stack.slice(first + 1, first + 1 + MAX_TEXT));
}

function safeText(text: string): string {
  return maskSecrets(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
}
