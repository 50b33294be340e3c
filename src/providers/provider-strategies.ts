import { ANTHROPIC } from './anthropic/index.js';
import { ECHO } from './echo/index.js';
import { GOOGLE } from './google/index.js';
import { OPENAI } from './openai/index.js';
import type { ProviderDefinition } from './provider-definition.js';

/**
 * Every provider that is built in, and the only list of them: registry, catalogue, environment, health and conformance
 * tests read it. Loading it loads no vendor's SDK; `create` does.
 */
export const PROVIDERS: readonly ProviderDefinition[] = Object.freeze([OPENAI, ANTHROPIC, GOOGLE, ECHO]);
