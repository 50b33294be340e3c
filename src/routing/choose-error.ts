import { GatewayError, type GatewayErrorCode, ProviderError } from '@app/contracts';

/** A target that failed, and how. */
export interface TargetFailure {
  /** Of the model that was asked for, not of a fallback. */
  readonly isAskedModel: boolean;
  /** It seems unable to serve the request, and was planned only in case it is not. */
  readonly isUnfit: boolean;
  /** tokens */
  readonly contextWindow: number;
  readonly error: unknown;
}

/** First what the client can change; then what tells it when to come back; then the rest. */
const USEFULNESS: Partial<Record<GatewayErrorCode, number>> = {
  context_length_exceeded: 9,
  unsupported_parameter: 9,
  provider_rejected: 9,
  provider_rate_limited: 7,
  first_chunk_timeout: 6,
  request_timeout: 6,
  provider_overloaded: 5,
  bulkhead_full: 4,
  circuit_open: 3,
  provider_bad_response: 2,
  provider_auth_failed: 1,
};

/**
 * The error to answer with: one of the asked model before any fallback's, of a target that could have served the request,
 * the most useful, and of the same usefulness the one with the soonest retry. That a small target takes no images, or no
 * prompt of this length, is not the answer while the large one is only busy.
 */
export function chooseError(failures: readonly TargetFailure[]): unknown {
  const asked = preferred(failures, ({ isAskedModel }) => isAskedModel);
  const fit = preferred(asked, ({ isUnfit }) => !isUnfit);
  const largest = Math.max(...fit.map(({ contextWindow }) => contextWindow));
  const candidates = preferred(fit, (failure) => !isTooLong(failure) || failure.contextWindow === largest);
  let best = candidates[0]?.error;
  for (const { error } of candidates) if (isBetter(error, best)) best = error;
  return best;
}

/** Those that meet the condition, or all when none does. */
function preferred(
  failures: readonly TargetFailure[],
  condition: (failure: TargetFailure) => boolean,
): readonly TargetFailure[] {
  const some = failures.filter(condition);
  return some.length > 0 ? some : failures;
}

function isTooLong({ error }: TargetFailure): boolean {
  return error instanceof ProviderError && error.code === 'context_length_exceeded';
}

function isBetter(error: unknown, best: unknown): boolean {
  const difference = usefulness(error) - usefulness(best);
  return difference > 0 || (difference === 0 && retryAfterMs(error) < retryAfterMs(best));
}

function retryAfterMs(error: unknown): number {
  return (error instanceof GatewayError ? error.retryAfterMs : undefined) ?? Infinity;
}

function usefulness(error: unknown): number {
  return error instanceof GatewayError ? (USEFULNESS[error.code] ?? 0) : 0;
}

/** Nothing came within the provider's own time. */
const UNANSWERED: ReadonlySet<GatewayErrorCode> = new Set(['first_chunk_timeout', 'request_timeout']);

/**
 * Whether the next target may be asked. A call that may have been processed is made again only if the provider itself said
 * that it failed, or did not answer in its own time: otherwise one request could be paid twice.
 */
export function mayTryElsewhere(error: unknown): boolean {
  if (!(error instanceof ProviderError && error.tryElsewhere))
    return error instanceof GatewayError && error.code === 'unsupported_parameter';
  return error.processed === 'no' || error.upstreamStatus !== undefined || UNANSWERED.has(error.code);
}
