/** `error.type` of the envelope. */
export type GatewayErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'billing_error'
  | 'permission_error'
  | 'not_found_error'
  | 'idempotency_error'
  | 'rate_limit_error'
  | 'api_error'
  | 'overloaded_error'
  | 'timeout_error';

interface ErrorKind {
  status: number;
  type: GatewayErrorType;
}

/** Every code a client can meet, with its status and type: the one list (contract of the HTTP API). */
export const GATEWAY_ERRORS = {
  invalid_http_request: { status: 400, type: 'invalid_request_error' },
  invalid_body: { status: 400, type: 'invalid_request_error' },
  invalid_json: { status: 400, type: 'invalid_request_error' },
  invalid_query: { status: 400, type: 'invalid_request_error' },
  unsupported_parameter: { status: 400, type: 'invalid_request_error' },
  context_length_exceeded: { status: 400, type: 'invalid_request_error' },
  provider_rejected: { status: 400, type: 'invalid_request_error' },
  missing_token: { status: 401, type: 'authentication_error' },
  invalid_token: { status: 401, type: 'authentication_error' },
  token_expired: { status: 401, type: 'authentication_error' },
  insufficient_balance: { status: 402, type: 'billing_error' },
  balance_reserved: { status: 402, type: 'billing_error' },
  model_not_allowed: { status: 403, type: 'permission_error' },
  admin_only: { status: 403, type: 'permission_error' },
  host_not_allowed: { status: 403, type: 'permission_error' },
  model_not_found: { status: 404, type: 'not_found_error' },
  not_found: { status: 404, type: 'not_found_error' },
  request_incomplete: { status: 408, type: 'timeout_error' },
  idempotency_conflict: { status: 409, type: 'idempotency_error' },
  idempotency_mismatch: { status: 422, type: 'idempotency_error' },
  body_too_large: { status: 413, type: 'invalid_request_error' },
  unsupported_media_type: { status: 415, type: 'invalid_request_error' },
  expectation_failed: { status: 417, type: 'invalid_request_error' },
  headers_too_large: { status: 431, type: 'invalid_request_error' },
  rate_limited: { status: 429, type: 'rate_limit_error' },
  global_rate_limited: { status: 429, type: 'rate_limit_error' },
  provider_rate_limited: { status: 429, type: 'rate_limit_error' },
  internal_error: { status: 500, type: 'api_error' },
  provider_bad_response: { status: 502, type: 'api_error' },
  provider_auth_failed: { status: 502, type: 'api_error' },
  circuit_open: { status: 503, type: 'overloaded_error' },
  bulkhead_full: { status: 503, type: 'overloaded_error' },
  provider_overloaded: { status: 503, type: 'overloaded_error' },
  auth_unavailable: { status: 503, type: 'overloaded_error' },
  database_unavailable: { status: 503, type: 'overloaded_error' },
  draining: { status: 503, type: 'overloaded_error' },
  first_chunk_timeout: { status: 504, type: 'timeout_error' },
  stream_idle_timeout: { status: 504, type: 'timeout_error' },
  request_timeout: { status: 504, type: 'timeout_error' },
} as const satisfies Record<string, ErrorKind>;

export type GatewayErrorCode = keyof typeof GATEWAY_ERRORS;

export interface GatewayErrorOptions {
  /** The request field at fault, e.g. `messages[0].content`. */
  param?: string | null;
  /** Sent as `Retry-After` (whole seconds, rounded up, at least 1). */
  retryAfterMs?: number;
  /** Further response headers. */
  headers?: Record<string, string>;
  /** Replaces `error.code` of the envelope only (a provider's own code, e.g. `invalid_image`). */
  wireCode?: string | null;
  cause?: unknown;
}

/** The envelope of every error answer. */
export interface ErrorEnvelope {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** Names of fields and providers' texts stand in messages: neither may be given back at any length. */
const MAX_MESSAGE_LENGTH = 2_000;
const MAX_PARAM_LENGTH = 200;

export function shortened(text: string, maxLength: number): string {
  return text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
}

/** An error the client may see. Never holds a prompt, a key or a token in its message. */
export class GatewayError extends Error {
  override readonly name: string = 'GatewayError';
  readonly status: number;
  readonly type: GatewayErrorType;
  readonly param: string | null;
  readonly retryAfterMs: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly wireCode: string | null;

  constructor(
    readonly code: GatewayErrorCode,
    message: string,
    options: GatewayErrorOptions = {},
  ) {
    super(shortened(message, MAX_MESSAGE_LENGTH), { cause: options.cause });
    this.status = GATEWAY_ERRORS[code].status;
    this.type = GATEWAY_ERRORS[code].type;
    this.param = options.param == null ? null : shortened(options.param, MAX_PARAM_LENGTH);
    this.retryAfterMs = options.retryAfterMs;
    this.headers = options.headers ?? {};
    this.wireCode = options.wireCode ?? code;
  }

  toEnvelope(): ErrorEnvelope {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.wireCode } };
  }
}

/** What the provider did with the request, as far as the evidence goes. Decides whether it may be sent again. */
export type Processed =
  /** It said so (429, 503, 529 before any output), or the connection proves it (refused, DNS, never written). */
  | 'no'
  /** It may have worked on it (reset after sending, timeout, 500): never repeated automatically. */
  | 'unknown';

export interface ProviderErrorOptions extends GatewayErrorOptions {
  processed: Processed;
  /** Counts against the circuit breaker. False for the client's own 4xx and for 429. */
  countsAsFailure: boolean;
  /** Another target or model may well succeed (overload, auth, 5xx, context too long for this one). */
  tryElsewhere: boolean;
  upstreamStatus?: number;
  providerRequestId?: string;
}

/** A failed upstream call, judged where the vendor is known (the vendor folder's `*.errors.ts`). */
export class ProviderError extends GatewayError {
  override readonly name = 'ProviderError';
  readonly processed: Processed;
  readonly countsAsFailure: boolean;
  readonly tryElsewhere: boolean;
  readonly upstreamStatus: number | undefined;
  readonly providerRequestId: string | undefined;

  constructor(code: GatewayErrorCode, message: string, options: ProviderErrorOptions) {
    super(code, message, options);
    this.processed = options.processed;
    this.countsAsFailure = options.countsAsFailure;
    this.tryElsewhere = options.tryElsewhere;
    this.upstreamStatus = options.upstreamStatus;
    this.providerRequestId = options.providerRequestId;
  }
}
