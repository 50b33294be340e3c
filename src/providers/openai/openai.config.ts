import type { ProviderSettings } from '../provider-definition.js';

const DEFAULT_BASE_URL = 'https://api.openai.com/v1';

/**
 * OpenAI's slice of the environment: `OPENAI_API_KEY` (without it the provider is off), `OPENAI_BASE_URL` (with its
 * `/v1`), and for keys of several organisations or projects `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID`.
 */
export function readOpenAiSettings(
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): ProviderSettings | undefined {
  const baseUrl = env.OPENAI_BASE_URL?.trim() || DEFAULT_BASE_URL;
  if (!isPlainHttpUrl(baseUrl))
    faults.push('OPENAI_BASE_URL: must be an http(s) URL without query or fragment');
  const apiKey = headerValue('OPENAI_API_KEY', env, faults);
  const organization = headerValue('OPENAI_ORG_ID', env, faults);
  const project = headerValue('OPENAI_PROJECT_ID', env, faults);
  if (!apiKey) return undefined;
  return { baseUrl: baseUrl.replace(/\/+$/, ''), apiKey, options: { organization, project } };
}

function headerValue(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): string | undefined {
  const value = env[name]?.trim();
  if (value && !/^[\x21-\x7e]+$/.test(value)) faults.push(`${name}: must be printable ASCII without spaces`);
  return value || undefined;
}

function isPlainHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  return (url?.protocol === 'https:' || url?.protocol === 'http:') && url.search === '' && url.hash === '';
}
