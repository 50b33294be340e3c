import type { ProviderDefinition } from '../provider-definition.js';
import { DEFAULT_DELAY_MS, readEchoSettings } from './echo.config.js';
import { ECHO_MODELS, ECHO_PRICES } from './echo.models.js';
import { EchoStrategy } from './echo.strategy.js';

/** The provider that needs no key: for the first start, for tests, and to see billing and failures at work. */
export const ECHO: ProviderDefinition = {
  name: 'echo',
  priceBookId: undefined,
  models: ECHO_MODELS,
  ownPrices: ECHO_PRICES,
  closesSearchField: true,
  settings: readEchoSettings,
  create: ({ options }) => {
    const delayMs = options?.delayMs;
    return Promise.resolve(new EchoStrategy(typeof delayMs === 'number' ? delayMs : DEFAULT_DELAY_MS));
  },
};
