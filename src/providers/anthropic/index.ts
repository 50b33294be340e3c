import type { ProviderStrategy } from '@app/contracts';
import { rememberFetch } from '../http/prepared-post.js';
import type { ProviderDefinition, ProviderDependencies, ProviderSettings } from '../provider-definition.js';
import { settings } from './anthropic.config.js';
import { ANTHROPIC_MODELS } from './anthropic.models.js';

/** Time is the caller's business (its signal); this only keeps the SDK's own ten minutes out of the way. */
const SDK_TIMEOUT_MS = 86_400_000;

/**
 * The API version whose wire this folder knows. The SDK would send 2026-10-21, which takes temperature, top_p and
 * top_k away from every model; the older version is served without an end date.
 */
const API_VERSION = '2023-06-01';

export const ANTHROPIC: ProviderDefinition = {
  name: 'anthropic',
  priceBookId: 'anthropic',
  models: ANTHROPIC_MODELS,
  // Also of models that the price data does not know. Fetches cost their tokens alone.
  toolPrices: () => ({ web_search: '0.01' }),
  settings,
  create,
};

async function create(
  { apiKey, baseUrl, headers }: ProviderSettings,
  { fetch }: ProviderDependencies,
): Promise<ProviderStrategy> {
  const [{ default: Anthropic }, { AnthropicStrategy }] = await Promise.all([
    import('@anthropic-ai/sdk'),
    import('./anthropic.strategy.js'),
  ]);
  const client = new Anthropic({
    baseURL: baseUrl,
    // Without any credential of its own the SDK would look for one in its profiles and in the environment.
    apiKey: apiKey ?? 'none',
    maxRetries: 0,
    timeout: SDK_TIMEOUT_MS,
    fetch,
    logLevel: 'off',
    openTelemetry: false,
    defaultHeaders: {
      'anthropic-version': API_VERSION,
      // The key goes out as `x-api-key`, which the API and the proxies before it have always taken.
      authorization: null,
      ...(apiKey !== undefined && { 'x-api-key': apiKey }),
      ...headers,
    },
  });
  rememberFetch(client, fetch);
  return new AnthropicStrategy(client);
}
