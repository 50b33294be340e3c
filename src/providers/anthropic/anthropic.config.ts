import type { ProviderSettings } from '../provider-definition.js';

const DEFAULT_BASE_URL = 'https://api.anthropic.com';

/**
 * Anthropic's slice of the environment: `ANTHROPIC_API_KEY` (without it the provider is off) and `ANTHROPIC_BASE_URL`.
 * The SDK appends `/v1/messages` itself, so a base URL that ends in `/v1` means the same as one without.
 */
export function settings(
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): ProviderSettings | undefined {
  const apiKey = env.ANTHROPIC_API_KEY?.trim();
  const baseUrl = env.ANTHROPIC_BASE_URL?.trim() || DEFAULT_BASE_URL;
  if (!isHttpUrl(baseUrl)) faults.push('ANTHROPIC_BASE_URL: must be an http: or https: URL');
  if (!apiKey) return undefined;
  if (!/^[\x21-\x7e]+$/.test(apiKey))
    faults.push('ANTHROPIC_API_KEY: must be printable ASCII without spaces');
  return { apiKey, baseUrl: baseUrl.replace(/\/+$/, '').replace(/\/v1$/, '') };
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:');
}
