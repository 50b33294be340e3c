import type { ProviderSettings } from '../provider-definition.js';
import { readBaseUrl, readHeaderValue } from '../read-settings.js';

const DEFAULT_BASE_URL = 'https://generativelanguage.googleapis.com';

/**
 * Google's slice of the environment: `GOOGLE_GEMINI_API_KEY` and `GOOGLE_GEMINI_BASE_URL` (without the API version).
 *
 * @returns `undefined` without a key: not configured
 */
export function readGoogleSettings(
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): ProviderSettings | undefined {
  const baseUrl = readBaseUrl('GOOGLE_GEMINI_BASE_URL', env, DEFAULT_BASE_URL, faults);
  const apiKey = readHeaderValue('GOOGLE_GEMINI_API_KEY', env, faults);
  return apiKey ? { baseUrl, apiKey } : undefined;
}
