import type { ProviderStrategy } from '@app/contracts';
import { rememberFetch } from '../http/prepared-post.js';
import type { ProviderDefinition, ProviderDependencies, ProviderSettings } from '../provider-definition.js';
import { readAnthropicSettings } from './anthropic.config.js';
import { ANTHROPIC_MODELS } from './anthropic.models.js';
import { ANTHROPIC_PRICES } from './anthropic.prices.js';

/** The caller limits the time by its signal; this only disables the SDK's own limit of ten minutes. */
const SDK_TIMEOUT_MS = 86_400_000;

/**
 * The API version that this folder implements. The SDK would send 2026-10-21, which refuses temperature, top_p and top_k for every
 * model; no end has been announced for the older version.
 */
const API_VERSION = '2023-06-01';

export const ANTHROPIC: ProviderDefinition = {
  name: 'anthropic',
  priceBookId: 'anthropic',
  models: ANTHROPIC_MODELS,
  ownPrices: ANTHROPIC_PRICES,
  // Also for models that are not in the price data. Fetches cost only their tokens.
  toolPrices: () => ({ web_search: '0.01' }),
  settings: readAnthropicSettings,
  create,
};

async function create(
  { apiKey, baseUrl }: ProviderSettings,
  { fetch }: ProviderDependencies,
): Promise<ProviderStrategy> {
  const [{ default: Anthropic }, { AnthropicStrategy }] = await Promise.all([
    import('@anthropic-ai/sdk'),
    import('./anthropic.strategy.js'),
  ]);
  const client = new Anthropic({
    baseURL: baseUrl,
    // Without a key, the SDK would look for credentials in its profiles and in the environment.
    apiKey: apiKey ?? 'none',
    maxRetries: 0,
    timeout: SDK_TIMEOUT_MS,
    fetch,
    logLevel: 'off',
    openTelemetry: false,
    defaultHeaders: {
      'anthropic-version': API_VERSION,
      // The key is sent as `x-api-key`, which the API and proxies in front of it have always accepted.
      authorization: null,
      ...(apiKey !== undefined && { 'x-api-key': apiKey }),
    },
  });
  rememberFetch(client, fetch);
  return new AnthropicStrategy(client);
}
