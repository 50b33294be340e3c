import { calcPrice, findProvider } from '@pydantic/genai-prices';
import { describe, expect, it } from 'vitest';
import { readAnthropicSettings } from './anthropic.config.js';
import { ANTHROPIC_MODELS, maxOutputTokensOf } from './anthropic.models.js';
import { ANTHROPIC_PRICES } from './anthropic.prices.js';
import { ANTHROPIC } from './index.js';

const NAMES = ANTHROPIC_MODELS.flatMap(({ id, aliases = [] }) => [id, ...aliases]);

describe('ANTHROPIC_MODELS', () => {
  it.each(ANTHROPIC_MODELS.filter(({ id }) => !(id in ANTHROPIC_PRICES)))(
    '$id has a price in the bundled book, and its window',
    (card) => {
      const name = card.upstreamModel ?? card.id;
      const price = calcPrice({ input_tokens: 1000, output_tokens: 1000 }, name, {
        providerId: ANTHROPIC.priceBookId ?? '',
      });
      expect(price?.total_price).toBeGreaterThan(0);
      if (card.id !== 'claude-2.0') expect(card.contextWindow).toBe(price?.model.context_window);
      expect(card.maxOutputTokens).toBeLessThan(card.contextWindow);
      expect(card.created).toBeGreaterThan(1_600_000_000);
      expect(Number.isInteger(card.created)).toBe(true);
    },
  );

  it('knows every model of the book that is still spoken of', () => {
    const book = findProvider({ providerId: 'anthropic' })?.models.map(({ id }) => id) ?? [];
    const known = new Set(NAMES);
    expect(book.filter((id) => id !== 'claude-v1' && !known.has(id))).toEqual([]);
  });

  it('uses every name once', () => {
    expect(new Set(NAMES).size).toBe(NAMES.length);
    expect(NAMES).toEqual(
      expect.arrayContaining(['claude-3', 'claude-2', 'claude-sonnet-4-5', 'claude-3-haiku-20240307']),
    );
  });

  it('says that a schema can be asked of every model that has tools', () => {
    const without = ANTHROPIC_MODELS.filter(({ capabilities }) => !capabilities.jsonSchema);
    expect(without.map(({ id }) => id)).toEqual(['claude-2.0', 'claude-2.1']);
  });

  it('finds the output limit by any name', () => {
    expect(maxOutputTokensOf('claude-3')).toBe(64_000);
    expect(maxOutputTokensOf('claude-3-haiku-20240307')).toBe(4096);
  });
});

describe('settings', () => {
  it('is off without a key', () => {
    const faults: string[] = [];
    expect(readAnthropicSettings({ ANTHROPIC_BASE_URL: 'https://example.org' }, faults)).toBeUndefined();
    expect(faults).toEqual([]);
  });

  it.each([
    [undefined, 'https://api.anthropic.com'],
    ['', 'https://api.anthropic.com'],
    ['http://127.0.0.1:9/', 'http://127.0.0.1:9'],
    ['https://proxy.example.org/anthropic/v1/', 'https://proxy.example.org/anthropic'],
  ])('reads the base URL %s as %s', (url, expected) => {
    expect(readAnthropicSettings({ ANTHROPIC_API_KEY: ' k ', ANTHROPIC_BASE_URL: url }, [])).toEqual({
      apiKey: 'k',
      baseUrl: expected,
    });
  });

  it('names faults, never values', () => {
    const faults: string[] = [];
    readAnthropicSettings({ ANTHROPIC_API_KEY: 'sécret', ANTHROPIC_BASE_URL: 'ftp://hidden' }, faults);
    expect(faults.map((fault) => fault.split(':')[0])).toEqual(['ANTHROPIC_BASE_URL', 'ANTHROPIC_API_KEY']);
    expect(faults.join()).not.toMatch(/hidden|sécret/);
  });
});
