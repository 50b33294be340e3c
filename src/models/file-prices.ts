import { type PriceCard, priceVersionOf } from '@app/money';
import type { GatewayConfig, GatewayPrice, GatewayTarget } from '../config/gateway-config.js';
import { targetKey } from '../providers/resilience/target-key.js';

/** What `upper` names, and of `lower` the rest. */
export function over(
  upper: GatewayPrice | undefined,
  lower: GatewayPrice | undefined,
): GatewayPrice | undefined {
  if (!upper || !lower) return upper ?? lower;
  const { base, tiers } = upper.base ? upper : lower;
  return {
    base,
    tiers,
    requestPico: upper.requestPico ?? lower.requestPico,
    toolCallPico: { ...lower.toolCallPico, ...upper.toolCallPico },
  };
}

/** What the file says of a target by itself and by its model: a price of tokens is whole, another one an addition. */
export function ofFile(
  target: GatewayPrice | undefined,
  model: GatewayPrice | undefined,
): GatewayPrice | undefined {
  return target?.base ? target : over(target, model);
}

/** `undefined` without a price of tokens. */
export function toPriceCard(price: GatewayPrice | undefined): PriceCard | undefined {
  if (!price?.base) return undefined;
  return { ...price, base: price.base, requestPico: price.requestPico ?? 0n };
}

/** Prices that the file gives to a target somewhere, for the places where it names none. */
export class FilePrices {
  readonly #prices = new Map<string, Map<string, GatewayPrice>>();

  constructor(config: GatewayConfig) {
    for (const model of config.models.values()) {
      for (const target of model.targets ?? []) {
        const price = ofFile(target.price, model.price);
        const card = toPriceCard(price);
        if (!price || !card) continue;
        const key = targetKey(target.provider, target.upstreamModel);
        const versions = this.#prices.get(key) ?? new Map<string, GatewayPrice>();
        this.#prices.set(key, versions.set(priceVersionOf(card), price));
      }
    }
  }

  of({ provider, upstreamModel }: GatewayTarget): GatewayPrice | undefined {
    const versions = this.#prices.get(targetKey(provider, upstreamModel));
    return versions?.size === 1 ? versions.values().next().value : undefined;
  }

  isAmbiguous({ provider, upstreamModel }: GatewayTarget): boolean {
    return (this.#prices.get(targetKey(provider, upstreamModel))?.size ?? 0) > 1;
  }
}
