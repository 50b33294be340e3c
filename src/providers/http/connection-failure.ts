import type { Processed } from '@app/contracts';

/** What went wrong before there was a status code. */
export type ConnectionFailureKind =
  | 'refused'
  | 'dns'
  | 'unreachable'
  | 'connect_timeout'
  | 'tls'
  | 'reset'
  | 'headers_timeout'
  | 'body_timeout'
  | 'body_too_large'
  | 'protocol'
  | 'closed'
  | 'sdk_timeout'
  | 'other';

export interface ConnectionFailure {
  /** `no` only when the first byte of the request was never written. */
  readonly processed: Processed;
  readonly kind: ConnectionFailureKind;
}

/**
 * A call that got no complete answer from the other side.
 *
 * Its message never says "timed out" or "timeout": openai's and Anthropic's SDK search messages for these words, and
 * replace such errors with their own, Anthropic's without the cause.
 */
export class ConnectionError extends Error implements ConnectionFailure {
  override readonly name = 'ConnectionError';

  constructor(
    readonly kind: ConnectionFailureKind,
    readonly processed: Processed,
    /** The system's or undici's code, for the log. */
    readonly code: string | undefined,
  ) {
    super(DESCRIPTIONS[kind]);
  }
}

const DESCRIPTIONS: Record<ConnectionFailureKind, string> = {
  refused: 'the connection was refused',
  dns: 'the host name could not be resolved',
  unreachable: 'the host is not reachable',
  connect_timeout: 'the connection was not established within its limit',
  tls: 'the TLS handshake failed',
  reset: 'the connection was closed by the other side',
  headers_timeout: 'no answer began within its limit',
  body_timeout: 'the answer stopped for longer than its limit',
  body_too_large: 'the answer is larger than its limit',
  protocol: 'the answer is not valid HTTP',
  closed: 'the connection pool is closed',
  sdk_timeout: 'no answer within the limit of the SDK',
  other: 'the connection failed',
};

const KINDS: Readonly<Record<string, ConnectionFailureKind>> = {
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  EAI_FAIL: 'dns',
  EAI_NODATA: 'dns',
  EAI_NONAME: 'dns',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ETIMEDOUT: 'connect_timeout',
  UND_ERR_CONNECT_TIMEOUT: 'connect_timeout',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  UND_ERR_SOCKET: 'reset',
  UND_ERR_INFO: 'reset',
  UND_ERR_HEADERS_TIMEOUT: 'headers_timeout',
  UND_ERR_BODY_TIMEOUT: 'body_timeout',
  UND_ERR_HEADERS_OVERFLOW: 'protocol',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'protocol',
  UND_ERR_CLOSED: 'closed',
  UND_ERR_DESTROYED: 'closed',
};

/** undici's or the system's error -> ours. `begun`: the first byte of the request may have been written. */
export function toConnectionError(error: unknown, begun: boolean): ConnectionError {
  const code = codeOf(error);
  return new ConnectionError(kindOf(code), begun ? 'unknown' : 'no', code);
}

const unsent = new WeakSet<Error>();

/** The call was aborted with `reason` before the first byte of its request was written. */
export function noteUnsent(reason: Error): void {
  unsent.add(reason);
}

/** Whether a call was aborted with `reason` so early that the other side cannot know of it. */
export function wasUnsent(reason: unknown): boolean {
  return reason instanceof Error && unsent.has(reason);
}

const MAX_CAUSES = 6;

/**
 * Finds the connection's failure in whatever an SDK threw. `undefined` for any other error: an HTTP status, an abort, a bug.
 *
 * An SDK's own timeout (`APIConnectionTimeoutError`) is a failure, too; nobody knows how far such a call got.
 */
export function connectionFailure(error: unknown): ConnectionFailure | undefined {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth += 1) {
    if (current instanceof ConnectionError) return current;
    current = current.cause;
  }
  if (error instanceof Error && error.constructor.name === 'APIConnectionTimeoutError') {
    return { processed: 'unknown', kind: 'sdk_timeout' };
  }
  return undefined;
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  if ('code' in error && typeof error.code === 'string') return error.code;
  return codeOf(error.cause);
}

function kindOf(code: string | undefined): ConnectionFailureKind {
  if (code === undefined) return 'other';
  return KINDS[code] ?? patternKind(code);
}

function patternKind(code: string): ConnectionFailureKind {
  if (code.startsWith('HPE_') || code.startsWith('ERR_HTTP2')) return 'protocol';
  const tls = /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_MISMATCH)/;
  return tls.test(code) ? 'tls' : 'other';
}
