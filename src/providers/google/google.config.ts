import type { ProviderSettings } from '../provider-definition.js';

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
  const baseUrl = readBaseUrl(env.GOOGLE_GEMINI_BASE_URL, faults);
  const apiKey = env.GOOGLE_GEMINI_API_KEY?.trim();
  if (!apiKey) return undefined;
  if (/\s/.test(apiKey)) faults.push('GOOGLE_GEMINI_API_KEY: has white space in it');
  return { baseUrl, apiKey };
}

function readBaseUrl(value: string | undefined, faults: string[]): string {
  const url = value?.trim();
  if (!url) return DEFAULT_BASE_URL;
  if (!isHttpUrl(url))
    faults.push('GOOGLE_GEMINI_BASE_URL: must be an http(s) URL without query or fragment');
  return url.replace(/\/+$/, '');
}

function isHttpUrl(value: string): boolean {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  return (url?.protocol === 'https:' || url?.protocol === 'http:') && url.search === '' && url.hash === '';
}
