import type { ProviderStrategy } from '@app/contracts';
import { asText } from '../openai-compatible/openai-compatible.wire.js';
import type { ProviderDefinition, ProviderDependencies, ProviderSettings } from '../provider-definition.js';
import { readOpenAiSettings } from './openai.config.js';
import { OPENAI_DIALECT } from './openai.dialect.js';
import { OPENAI_MODELS } from './openai.models.js';
import { OPENAI_PRICES, requestPriceAtOpenAi, toolPricesAtOpenAi } from './openai.prices.js';

export const OPENAI: ProviderDefinition = {
  name: 'openai',
  priceBookId: 'openai',
  models: OPENAI_MODELS,
  ownPrices: OPENAI_PRICES,
  toolPrices: toolPricesAtOpenAi,
  requestPrice: requestPriceAtOpenAi,
  settings: readOpenAiSettings,
  create: createOpenAi,
};

async function createOpenAi(
  settings: ProviderSettings,
  dependencies: ProviderDependencies,
): Promise<ProviderStrategy> {
  const [{ createOpenAiClient }, { OpenAiCompatibleStrategy }, { ResponsesStrategy }, { OpenAiStrategy }] =
    await Promise.all([
      import('../openai-compatible/openai-client.js'),
      import('../openai-compatible/openai-compatible.strategy.js'),
      import('./responses.strategy.js'),
      import('./openai.strategy.js'),
    ]);
  const client = await createOpenAiClient(settings, dependencies, {
    organization: asText(settings.options?.organization),
    project: asText(settings.options?.project),
  });
  return new OpenAiStrategy(
    new OpenAiCompatibleStrategy(client, OPENAI_DIALECT),
    new ResponsesStrategy(client),
  );
}
