import type { Usage } from '@app/contracts';
import type { PriceCard } from '@app/money';
import { describe, expect, it } from 'vitest';
import type { AppConfig } from '../../config/app-config.js';
import { type GatewayEvent, Telemetry } from '../../telemetry/telemetry.js';
import type { PriceVersions } from '../prices/price-versions.service.js';
import { ChargeCalculator, scaledCost } from './charge-calculator.js';

const TARGET = { provider: 'p', upstreamModel: 'm', priceVersion: 'v' };
const IDENTITY = { billingId: 'b', requestId: 'r', userId: 'u' };
const USAGE: Usage = { inputTokens: 1, outputTokens: 1 };
const CARD: PriceCard = {
  base: { inputPico: 1_500n, outputPico: 2_001n },
  tiers: [],
  requestPico: 0n,
  toolCallPico: {},
};

/** @param stored  what the database has; nothing is in memory */
function calculator(cacheHitPriceFactor: string, stored?: PriceCard, inMemory?: PriceCard) {
  const events: GatewayEvent[] = [];
  const telemetry = new Telemetry();
  telemetry.addSink({ event: (event) => events.push(event) });
  const prices = { peek: () => inMemory, find: () => Promise.resolve(stored) } as unknown as PriceVersions;
  const config = { billing: { cacheHitPriceFactor } } as AppConfig;
  return { charges: new ChargeCalculator(prices, telemetry, config), events };
}

describe('what is charged', () => {
  it.each([
    [3_501n, '1', 4n],
    [3_501n, '0.5', 2n],
    [4_000n, '0.5', 2n],
    [4_001n, '0.5', 3n],
    [1n, '0.000000001', 1n],
    [4_000n, '0', 0n],
  ])('for %s pico at a factor of %s is rounded up to %s nano', (pico, factor, nano) => {
    expect(scaledCost(pico, factor)).toBe(nano);
  });

  it('is the price at hand, for an answer from the cache by the factor', () => {
    const { charges } = calculator('0.5', undefined, CARD);
    expect(charges.priceNow(TARGET, USAGE, false)).toBe(4n);
    expect(charges.priceNow(TARGET, USAGE, true)).toBe(2n);
  });

  it('waits for a price that is not at hand, but not for that of what is free', async () => {
    const { charges, events } = calculator('0', CARD);
    expect(charges.priceNow(TARGET, USAGE, false)).toBeUndefined();
    expect(await charges.price(IDENTITY, TARGET, USAGE, false)).toBe(4n);
    expect(charges.priceNow(TARGET, USAGE, true)).toBe(0n);
    expect(events).toEqual([]);
  });

  it('is nothing for a price that nobody knows, which is told', async () => {
    const { charges, events } = calculator('1');
    expect(await charges.price(IDENTITY, TARGET, USAGE, false)).toBe(0n);
    expect(events).toMatchObject([{ kind: 'unexpected-error', where: 'billing', requestId: 'r' }]);
  });
});
