import type { ModelPrice } from '@pydantic/genai-prices';

/**
 * Models that are newer than the price data, which takes Sonnet 5.5 for Sonnet 5. What cache reads cost differs from model to model; writes
 * cost 1.25 times the input for five minutes, twice for an hour.
 *
 * @see https://platform.claude.com/docs/en/models/haiku-5-5/overview, read 2026-11-30;
 *      https://platform.claude.com/docs/en/about-claude/pricing (not opened: figures as several others cited them in November 2026)
 */
export const ANTHROPIC_PRICES: Readonly<Record<string, ModelPrice>> = Object.freeze({
  'claude-sonnet-5-5': {
    input_mtok: 2,
    cache_read_mtok: 0.1,
    cache_write_mtok: 2.5,
    cache_write_1h_mtok: 4,
    output_mtok: 10,
  },
  'claude-haiku-5-5': {
    input_mtok: longPrompt(0.1, 0.5),
    cache_read_mtok: longPrompt(0.01, 0.05),
    cache_write_mtok: longPrompt(0.125, 0.625),
    cache_write_1h_mtok: longPrompt(0.2, 1),
    output_mtok: longPrompt(0.5, 2.5),
  },
  'claude-fable-5-2': {
    input_mtok: 8,
    cache_read_mtok: 0.2,
    cache_write_mtok: 10,
    cache_write_1h_mtok: 16,
    output_mtok: 40,
  },
});

function longPrompt(base: number, price: number): ModelPrice[string] {
  return { base, tiers: [{ start: 100_000, price }] };
}
