import { GatewayError, type ProviderCall } from '@app/contracts';

/** A call of which everything has a price, and what was taken from it. */
export interface PricedCall {
  readonly call: ProviderCall;
  readonly droppedParams: readonly string[];
}

/**
 * Leaves out what OpenAI charges otherwise than the price book says: other service tiers have prices of their own, half of
 * the standard one, or twice as much.
 *
 * @returns `undefined` when there is nothing of it, as nearly always
 * @throws GatewayError  `unsupported_parameter`, unless unsupported ones may be dropped
 * @see https://openai.com/api-priority-processing, https://developers.openai.com/api/docs/pricing, read 2026-11-29
 */
export function withoutUnpriced(call: ProviderCall): PricedCall | undefined {
  if (isStandard(call.request.service_tier)) return undefined;
  if (!call.dropUnsupported) throw notPriced();
  const { service_tier: _tier, ...request } = call.request;
  return { call: { ...call, request }, droppedParams: ['service_tier'] };
}

/** `auto` is what the operator's project is set to. */
function isStandard(tier: string | null | undefined): boolean {
  return tier === undefined || tier === null || tier === 'auto' || tier === 'default';
}

function notPriced(): GatewayError {
  const message = 'service_tier changes what OpenAI charges, and the gateway has no price for it.';
  return new GatewayError('unsupported_parameter', message, { param: 'service_tier' });
}
