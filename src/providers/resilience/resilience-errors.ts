import { ProviderError } from '@app/contracts';

/** About how fast a queue at a provider moves; nothing better is known. */
const FULL_RETRY_AFTER_MS = 1000;

const NOT_ASKED = { processed: 'no', countsAsFailure: false, tryElsewhere: true } as const;

/** The provider was not asked: its breaker is open. */
export function circuitOpen(provider: string, retryAfterMs: number): ProviderError {
  return new ProviderError('circuit_open', `${provider} is failing at the moment and is not called.`, {
    ...NOT_ASKED,
    retryAfterMs: Math.max(1, retryAfterMs),
  });
}

/** The provider was not asked: as many calls as allowed are under way. */
export function bulkheadFull(provider: string): ProviderError {
  return new ProviderError('bulkhead_full', `Too many calls to ${provider} are in progress.`, {
    ...NOT_ASKED,
    retryAfterMs: FULL_RETRY_AFTER_MS,
  });
}

/** Another target may be faster. That this one may still work on the request is the price of not waiting longer. */
export function firstChunkTimeout(provider: string, afterMs: number): ProviderError {
  return new ProviderError(
    'first_chunk_timeout',
    `${provider} did not start to answer within ${seconds(afterMs)}.`,
    {
      processed: 'unknown',
      countsAsFailure: true,
      tryElsewhere: true,
    },
  );
}

export function streamIdleTimeout(provider: string, afterMs: number): ProviderError {
  return new ProviderError(
    'stream_idle_timeout',
    `${provider} paused in the middle of its answer for ${seconds(afterMs)}.`,
    {
      processed: 'unknown',
      countsAsFailure: true,
      tryElsewhere: false,
    },
  );
}

/**
 * @param isExcused  the provider was still answering, or was asked too late: it has not failed
 * @param tryElsewhere  what is over is the provider's own time, and not the request's
 */
export function requestTimeout(provider: string, isExcused: boolean, tryElsewhere: boolean): ProviderError {
  return new ProviderError('request_timeout', `${provider} did not finish its answer in the time allowed.`, {
    processed: 'unknown',
    countsAsFailure: !isExcused,
    tryElsewhere,
  });
}

/** The time is over, but the provider was waiting: the client was slow to read what it had been sent. */
export class UnreadAnswer extends ProviderError {
  constructor(provider: string) {
    super('request_timeout', `The answer of ${provider} was not read in the time allowed.`, {
      processed: 'unknown',
      countsAsFailure: false,
      tryElsewhere: false,
    });
  }
}

/** @returns the reason itself when it is another */
export function unreadOr(reason: unknown, provider: string): unknown {
  const isTimeout = reason instanceof ProviderError && reason.code === 'request_timeout';
  return isTimeout ? new UnreadAnswer(provider) : reason;
}

export function emptyStream(provider: string): ProviderError {
  return new ProviderError(
    'provider_bad_response',
    `${provider} ended its answer before sending any of it.`,
    {
      processed: 'unknown',
      countsAsFailure: true,
      tryElsewhere: true,
    },
  );
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
