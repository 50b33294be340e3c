import { GatewayError, ProviderError, type ChatRequest, type ProviderErrorOptions } from '@app/contracts';
import { ECHO_CONTEXT_WINDOW } from './echo.models.js';

const DECLINED = { processed: 'no', countsAsFailure: false, tryElsewhere: false } as const;
const FAILED = { processed: 'unknown', countsAsFailure: true, tryElsewhere: true } as const;
const BUSY = { processed: 'no', countsAsFailure: true, tryElsewhere: true } as const;
const RETRY_AFTER_MS = 1000;

/** The error that a provider's answer with this status becomes. */
export function scriptedError(status: number): ProviderError {
  const message = `This model always answers with status ${status}.`;
  const more = (options: ProviderErrorOptions) => ({ ...options, upstreamStatus: status });
  switch (status) {
    case 400:
      return new ProviderError(
        'provider_rejected',
        message,
        more({ ...DECLINED, param: 'model', wireCode: 'echo_rejected' }),
      );
    case 401:
      return new ProviderError('provider_auth_failed', message, more(BUSY));
    case 429:
      return new ProviderError('provider_rate_limited', message, {
        ...more({ ...BUSY, countsAsFailure: false }),
        retryAfterMs: RETRY_AFTER_MS,
      });
    case 503:
    case 529:
      return new ProviderError(
        'provider_overloaded',
        message,
        more({ ...BUSY, retryAfterMs: RETRY_AFTER_MS }),
      );
    default:
      return new ProviderError('provider_bad_response', message, more(FAILED));
  }
}

export function brokenStream(by: 'error' | 'cut'): ProviderError {
  const message = by === 'cut' ? 'The stream ended before the answer was complete.' : 'The model broke off.';
  return new ProviderError('provider_bad_response', message, FAILED);
}

/** Every provider has such a limit. */
export function contextTooLong(): ProviderError {
  const message = `The messages exceed the context window of ${ECHO_CONTEXT_WINDOW} tokens.`;
  return new ProviderError('context_length_exceeded', message, {
    ...DECLINED,
    tryElsewhere: true,
    param: 'messages',
  });
}

/** Fields whose effect the client would miss in the answer. */
export function unsupportedFields(request: ChatRequest): string[] {
  const found: string[] = [];
  if (request.logprobs) found.push('logprobs');
  if (Array.isArray(request.modalities) && request.modalities.some((modality) => modality !== 'text')) {
    found.push('modalities');
  }
  return found;
}

export function unsupported(field: string): GatewayError {
  return new GatewayError('unsupported_parameter', `The echo models do not support ${field}.`, {
    param: field,
  });
}
