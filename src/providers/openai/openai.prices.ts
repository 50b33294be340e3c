import { GatewayError, type ChatRequest, type ProviderCall } from '@app/contracts';
import { asObject, asText, type WireObject } from '../openai-compatible/openai-compatible.wire.js';

/** A call of which everything has a price, and what was taken from it. */
export interface PricedCall {
  readonly call: ProviderCall;
  readonly droppedParams: readonly string[];
}

/**
 * Leaves out what OpenAI charges otherwise than the price book says: other service tiers have prices of their own (half of
 * the standard one, or twice as much), and some tools are billed by the container or by the image.
 *
 * @returns `undefined` when there is nothing of it, as nearly always
 * @throws GatewayError  `unsupported_parameter`, unless unsupported ones may be dropped
 * @see https://openai.com/api-priority-processing, https://developers.openai.com/api/docs/pricing, read 2026-11-29
 */
export function withoutUnpriced(call: ProviderCall): PricedCall | undefined {
  const { service_tier: tier, tools } = call.request;
  if (isStandard(tier) && !tools?.some(hasOwnPrice)) return undefined;
  const unpriced = [
    ...(isStandard(tier) ? [] : ['service_tier']),
    ...(tools ?? []).flatMap((tool, index) => (hasOwnPrice(tool) ? [`tools[${index}]`] : [])),
  ];
  const [first] = unpriced;
  if (first !== undefined && !call.dropUnsupported) throw notPriced(first);
  const kept = (tools ?? []).filter((tool) => !hasOwnPrice(tool));
  const priced = { ...call.request, tools: kept };
  if (!isStandard(tier)) delete priced.service_tier;
  if (kept.length === 0) withoutTools(priced);
  return { call: { ...call, request: priced }, droppedParams: unpriced };
}

/** OpenAI refuses what is said of tools when there are none. */
function withoutTools(request: ChatRequest): void {
  delete request.tools;
  delete request.tool_choice;
  delete request.parallel_tool_calls;
}

/** `auto` is what the operator's project is set to. */
function isStandard(tier: string | null | undefined): boolean {
  return tier === undefined || tier === null || tier === 'auto' || tier === 'default';
}

function hasOwnPrice(tool: WireObject): boolean {
  switch (tool.type) {
    case 'code_interpreter':
    case 'image_generation':
      return true;
    case 'shell':
      return asText(asObject(tool.environment)?.type)?.startsWith('container') ?? false;
    default:
      return false;
  }
}

function notPriced(param: string): GatewayError {
  const message = `${param} changes what OpenAI charges, and the gateway has no price for it.`;
  return new GatewayError('unsupported_parameter', message, { param });
}
