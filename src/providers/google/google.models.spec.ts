import { calcPrice, findProvider } from '@pydantic/genai-prices';
import { describe, expect, it } from 'vitest';
import { GOOGLE_PRICES } from './google.prices.js';
import { GOOGLE } from './index.js';

describe('model cards', () => {
  it.each(GOOGLE.models.map(({ id }) => id).filter((id) => !(id in GOOGLE_PRICES)))(
    '%s has a price',
    (model) => {
      expect(findProvider({ providerId: GOOGLE.priceBookId ?? '' })).toBeDefined();
      const price = calcPrice({ input_tokens: 1_000_000, output_tokens: 1_000_000 }, model, {
        providerId: 'google',
      });
      expect(price?.input_price).toBeGreaterThan(0);
      expect(price?.output_price).toBeGreaterThan(0);
    },
  );

  it('gives every name once', () => {
    const names = GOOGLE.models.flatMap((card) => [card.id, ...(card.aliases ?? [])]);
    expect(names).toHaveLength(new Set(names).size);
  });

  it('has the models that the gateway promises, and sane limits', () => {
    const names = GOOGLE.models.map((card) => card.id);
    expect(names).toEqual(expect.arrayContaining(['gemini-1.5-pro', 'gemini-pro', 'gemini-2.5-flash']));
    for (const card of GOOGLE.models) {
      expect(card.maxOutputTokens).toBeLessThan(card.contextWindow);
      expect(card.created).toBeGreaterThan(1_700_000_000);
    }
  });
});

describe('settings', () => {
  const read = (env: Record<string, string>) => {
    const faults: string[] = [];
    return { settings: GOOGLE.settings(env, faults), faults };
  };

  it('needs a key', () => {
    expect(read({})).toEqual({ settings: undefined, faults: [] });
    expect(read({ GOOGLE_GEMINI_API_KEY: '  ' }).settings).toBeUndefined();
  });

  it("has Google's address unless told otherwise", () => {
    expect(read({ GOOGLE_GEMINI_API_KEY: 'k' }).settings).toEqual({
      baseUrl: 'https://generativelanguage.googleapis.com',
      apiKey: 'k',
    });
    const other = { GOOGLE_GEMINI_API_KEY: 'k', GOOGLE_GEMINI_BASE_URL: 'http://127.0.0.1:9/gemini/' };
    expect(read(other).settings?.baseUrl).toBe('http://127.0.0.1:9/gemini');
  });

  it.each(['ftp://x', 'not a url', 'https://x/?key=secret'])('names a fault, not the value: %s', (url) => {
    const { faults } = read({ GOOGLE_GEMINI_API_KEY: 'k y', GOOGLE_GEMINI_BASE_URL: url });
    expect(faults.map((fault) => fault.split(':')[0])).toEqual([
      'GOOGLE_GEMINI_BASE_URL',
      'GOOGLE_GEMINI_API_KEY',
    ]);
    expect(faults.join()).not.toContain(url);
  });

  it.each(['k\ny', 'clé', 'k\u200b'])('refuses a key that no header takes: %j', (key) => {
    expect(read({ GOOGLE_GEMINI_API_KEY: key }).faults).toEqual([
      'GOOGLE_GEMINI_API_KEY: must be printable ASCII without spaces',
    ]);
  });
});
