import type OpenAI from 'openai';
import { rememberFetch } from '../http/prepared-post.js';
import type { ProviderDependencies, ProviderSettings } from '../provider-definition.js';
import { asObject } from './openai-compatible.wire.js';

/** The SDK's own limit must never end a call before the gateway's. */
const NO_SDK_TIMEOUT_MS = 2 ** 31 - 1;

interface OpenAiAccount {
  readonly organization?: string | undefined;
  readonly project?: string | undefined;
}

/**
 * The official SDK on our fetch. It retries nothing, logs nothing, and reads nothing from the environment: those variables
 * (`OPENAI_ORG_ID`, …) are about OpenAI, and must not reach another vendor.
 */
export async function createOpenAiClient(
  settings: ProviderSettings,
  dependencies: ProviderDependencies,
  account: OpenAiAccount = {},
): Promise<OpenAI> {
  const { default: Client } = await import('openai');
  const client = new Client({
    baseURL: settings.baseUrl,
    apiKey: settings.apiKey ?? 'none',
    adminAPIKey: null,
    organization: account.organization ?? null,
    project: account.project ?? null,
    webhookSecret: null,
    fetch: dependencies.fetch,
    maxRetries: 0,
    timeout: NO_SDK_TIMEOUT_MS,
    logLevel: 'off',
    defaultHeaders: {
      ...(settings.apiKey === undefined ? { Authorization: null } : {}),
      ...settings.headers,
    },
    defaultQuery: queryOf(settings),
  });
  rememberFetch(client, dependencies.fetch);
  return client;
}

/** The option `query`: what a server wants in every URL, such as Azure's `api-version`. */
function queryOf(settings: ProviderSettings): Record<string, string> {
  const query = asObject(settings.options?.query) ?? {};
  return Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)]));
}
