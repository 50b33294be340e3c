import type { ProviderDefinition } from '../provider-definition.js';
import { readGoogleSettings } from './google.config.js';
import { GOOGLE_MODELS } from './google.models.js';
import { GOOGLE_PRICES, toolPrices } from './google.prices.js';
import { paysEverySearch } from './google.traits.js';

const NAME = 'google';

/** The Gemini API of Google AI (not Vertex AI). `gen_ai.provider.name` of OpenTelemetry is `gcp.gemini`. */
export const GOOGLE: ProviderDefinition = {
  name: NAME,
  priceBookId: 'google',
  models: GOOGLE_MODELS,
  ownPrices: GOOGLE_PRICES,
  toolPrices,
  billsSearchesOnce: (model) => !paysEverySearch(model),
  settings: readGoogleSettings,
  create: async (settings, { fetch }) => {
    const [{ GeminiClient }, { GoogleStrategy }] = await Promise.all([
      import('./google.client.js'),
      import('./google.strategy.js'),
    ]);
    return new GoogleStrategy(NAME, new GeminiClient(settings, fetch));
  },
};
