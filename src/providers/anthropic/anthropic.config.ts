import type { ProviderSettings } from '../provider-definition.js';
import { readBaseUrl, readHeaderValue } from '../read-settings.js';

const DEFAULT_BASE_URL = 'https://api.anthropic.com';

/**
 * Anthropic's slice of the environment: `ANTHROPIC_API_KEY` (without it the provider is off) and `ANTHROPIC_BASE_URL`.
 * The SDK appends `/v1/messages` itself, so a base URL that ends in `/v1` means the same as one without.
 */
export function readAnthropicSettings(
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): ProviderSettings | undefined {
  const baseUrl = readBaseUrl('ANTHROPIC_BASE_URL', env, DEFAULT_BASE_URL, faults).replace(/\/v1$/, '');
  const apiKey = readHeaderValue('ANTHROPIC_API_KEY', env, faults);
  return apiKey ? { apiKey, baseUrl } : undefined;
}
