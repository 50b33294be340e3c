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
  const droppedParams = unpricedParams(call);
  const [first] = droppedParams;
  if (first === undefined) return undefined;
  if (!call.dropUnsupported) throw notPriced(first);
  const request = { ...call.request };
  for (const name of droppedParams) delete request[name];
  return { call: { ...call, request }, droppedParams };
}

/** The price book has none for what these search: o1-pro, o3-pro, codex-mini, gpt-5.3-codex. */
const WITHOUT_SEARCH_PRICE = /^(?:o[13]-pro|codex-mini|gpt-5\.3-codex)/;

function unpricedParams({ request, upstreamModel }: ProviderCall): string[] {
  const names: string[] = [];
  if (!isStandard(request.service_tier)) names.push('service_tier');
  if (request['web_search_options'] != null && WITHOUT_SEARCH_PRICE.test(upstreamModel))
    names.push('web_search_options');
  return names;
}

/** `auto` is what the operator's project is set to. */
function isStandard(tier: string | null | undefined): boolean {
  return tier === undefined || tier === null || tier === 'auto' || tier === 'default';
}

function notPriced(param: string): GatewayError {
  const message = `${param} changes what OpenAI charges, and the gateway has no price for it.`;
  return new GatewayError('unsupported_parameter', message, { param });
}
