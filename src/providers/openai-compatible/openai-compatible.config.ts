import type { ProviderStrategy } from '@app/contracts';
import type { ProviderDependencies, ProviderSettings } from '../provider-definition.js';
import { allowedNames, closedParams } from './closed-params.js';
import { createOpenAiClient } from './openai-client.js';
import { compatibleDialect, type OpenAiDialect } from './openai-compatible.dialect.js';
import { OpenAiCompatibleStrategy } from './openai-compatible.strategy.js';

/**
 * A provider of GATEWAY_CONFIG. Its settings may have these `options`, whose defaults are those of a server of which nothing
 * is known: `query` (object), `outputLimitField`, `takesReasoningContent`, `streamUsage`,
 * `cancelStopsBilling`, `allowedParams` (names).
 */
export async function createOpenAiCompatible(
  name: string,
  settings: ProviderSettings,
  dependencies: ProviderDependencies,
): Promise<ProviderStrategy> {
  const client = await createOpenAiClient(settings, dependencies);
  return new OpenAiCompatibleStrategy(client, configuredDialect(name, settings.options ?? {}));
}

function configuredDialect(name: string, options: Readonly<Record<string, unknown>>): OpenAiDialect {
  const dialect = compatibleDialect(name);
  const { outputLimitField: field } = options;
  const allowed = allowedNames(options.allowedParams);
  return {
    ...dialect,
    closedParams: ({ request }) => closedParams(request, allowed),
    takesReasoningContent: flag(options.takesReasoningContent, dialect.takesReasoningContent),
    streamUsage: flag(options.streamUsage, dialect.streamUsage),
    cancelStopsBilling: flag(options.cancelStopsBilling, dialect.cancelStopsBilling),
    ...(field === 'max_tokens' || field === 'max_completion_tokens' ? { outputLimitField: () => field } : {}),
  };
}

function flag(value: unknown, otherwise: boolean): boolean {
  return typeof value === 'boolean' ? value : otherwise;
}
