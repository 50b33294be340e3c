import type { ProviderSettings } from '../provider-definition.js';
import { readBaseUrl, readHeaderValue } from '../read-settings.js';

const DEFAULT_BASE_URL = 'https://api.openai.com/v1';

/**
 * OpenAI's slice of the environment: `OPENAI_API_KEY` (without it the provider is off), `OPENAI_BASE_URL` (with its `/v1`), and
 * `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID` for keys of several organisations or projects.
 */
export function readOpenAiSettings(
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): ProviderSettings | undefined {
  const baseUrl = readBaseUrl('OPENAI_BASE_URL', env, DEFAULT_BASE_URL, faults);
  const apiKey = readHeaderValue('OPENAI_API_KEY', env, faults);
  const organization = readHeaderValue('OPENAI_ORG_ID', env, faults);
  const project = readHeaderValue('OPENAI_PROJECT_ID', env, faults);
  return apiKey ? { baseUrl, apiKey, options: { organization, project } } : undefined;
}
