import { GatewayError, type GatewayErrorCode, ProviderError } from '@app/contracts';

/** A target that failed, and how. */
export interface TargetFailure {
  /** Of the model that was asked for, not of a fallback. */
  readonly isAskedModel: boolean;
  readonly error: unknown;
}

/** What the client can do something about comes first; then what tells it when to come back; then the rest. */
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

/** Of all targets' errors, the one to answer with: the asked model's before any fallback's, the most useful of them. */
export function chooseError(failures: readonly TargetFailure[]): unknown {
  const asked = failures.filter(({ isAskedModel }) => isAskedModel);
  const candidates = asked.length > 0 ? asked : failures;
  let best = candidates[0]?.error;
  for (const { error } of candidates) if (usefulness(error) > usefulness(best)) best = error;
  return best;
}

function usefulness(error: unknown): number {
  return error instanceof GatewayError ? (USEFULNESS[error.code] ?? 0) : 0;
}

/**
 * Whether the next target may be asked. Something that may have been worked on is asked for again only when the provider
 * itself said that it failed, or did not even begin in time: else one request could be paid twice.
 */
export function mayTryElsewhere(error: unknown): boolean {
  if (!(error instanceof ProviderError))
    return error instanceof GatewayError && error.code === 'unsupported_parameter';
  if (!error.tryElsewhere) return error.code === 'unsupported_parameter';
  return (
    error.processed === 'no' || error.upstreamStatus !== undefined || error.code === 'first_chunk_timeout'
  );
}
