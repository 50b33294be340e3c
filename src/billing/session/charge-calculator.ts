import type { Usage } from '@app/contracts';
import {
  ceilPicoToNano,
  NANO_PER_UNIT,
  type NanoUsd,
  parseDecimalToNano,
  type PriceCard,
  usageCostPico,
} from '@app/money';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import type { QuoteTarget, UsageSource } from '../billing-session.js';
import { PriceVersions } from '../prices/price-versions.service.js';
import type { SessionIdentity } from './held.js';

/** What is due for an answer. */
export interface Due {
  readonly target: QuoteTarget;
  readonly usage: Usage;
  readonly source: UsageSource;
  readonly costNano: NanoUsd;
  readonly fromCache: boolean;
}

/** Price of a pico cost times a decimal factor, rounded up once more: how an answer from the cache is charged. */
export function scaledCost(costPico: bigint, factor: string): NanoUsd {
  const product = costPico * parseDecimalToNano(factor);
  return ceilPicoToNano((product + NANO_PER_UNIT - 1n) / NANO_PER_UNIT);
}

/** Prices what was used, at the version pinned when the request was held. */
@Injectable()
export class ChargeCalculator {
  readonly #cacheIsFree: boolean;

  constructor(
    private readonly prices: PriceVersions,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    this.#cacheIsFree = Number(config.billing.cacheHitPriceFactor) === 0;
  }

  /** @returns `undefined` when the price is not in memory: ask `price` */
  priceNow(target: QuoteTarget, usage: Usage, fromCache: boolean): NanoUsd | undefined {
    if (fromCache && this.#cacheIsFree) return 0n;
    const card = this.prices.peek(target.priceVersion);
    return card && this.#cost(card, usage, fromCache);
  }

  async price(
    identity: SessionIdentity,
    target: QuoteTarget,
    usage: Usage,
    fromCache: boolean,
  ): Promise<NanoUsd> {
    const known = this.priceNow(target, usage, fromCache);
    if (known !== undefined) return known;
    const card = await this.prices.find(target.priceVersion);
    return card ? this.#cost(card, usage, fromCache) : this.#reportUnpriced(identity, target);
  }

  #cost(card: PriceCard, usage: Usage, fromCache: boolean): NanoUsd {
    const costPico = usageCostPico(card, usage);
    return fromCache
      ? scaledCost(costPico, this.config.billing.cacheHitPriceFactor)
      : ceilPicoToNano(costPico);
  }

  /** Cannot happen to a request that was quoted; an operator should know when it does. */
  #reportUnpriced(identity: SessionIdentity, target: QuoteTarget): NanoUsd {
    const error = new Error(`price version ${target.priceVersion} is not known`);
    this.telemetry.event({
      kind: 'unexpected-error',
      where: 'billing',
      requestId: identity.requestId,
      error,
    });
    return 0n;
  }
}
