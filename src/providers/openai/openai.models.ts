import type { ModelCapabilities, ModelCard } from '@app/contracts';

interface Facts {
  /** Release: a date, or Unix seconds where OpenAI's own list of models gives them. */
  released: string | number;
  contextWindow: number;
  maxOutputTokens: number;
  capabilities: ModelCapabilities;
  aliases?: readonly string[];
  /** Dated names of the same model, each served under its own name. */
  snapshots?: readonly string[];
}

const TEXT: ModelCapabilities = {
  tools: true,
  vision: false,
  documents: false,
  audioInput: false,
  jsonSchema: false,
  reasoning: false,
};
const SEEING: ModelCapabilities = { ...TEXT, vision: true, documents: true };
const STRUCTURED: ModelCapabilities = { ...SEEING, jsonSchema: true };
const REASONING: ModelCapabilities = { ...STRUCTURED, reasoning: true };
const HEARING: ModelCapabilities = { ...TEXT, audioInput: true };

const K128 = 128_000;
const K200 = 200_000;
const K400 = 400_000;
const MILLION = 1_050_000;

const OLD = { contextWindow: 16_385, maxOutputTokens: 4096, capabilities: TEXT };
const GPT_4O = { contextWindow: K128, maxOutputTokens: 16_384, capabilities: STRUCTURED };
const GPT_4_1 = { contextWindow: 1_047_576, maxOutputTokens: 32_768, capabilities: STRUCTURED };
const O_SERIES = { contextWindow: K200, maxOutputTokens: 100_000, capabilities: REASONING };
const GPT_5 = { contextWindow: K400, maxOutputTokens: 128_000, capabilities: REASONING };
const GPT_5_LONG = { contextWindow: MILLION, maxOutputTokens: 128_000, capabilities: REASONING };

/**
 * Limits and release dates, read 2026-11-23, those since GPT-6.1 2026-11-30.
 *
 * @see https://developers.openai.com/api/docs/models and the pages it links
 *
 * Only models that the price data or OPENAI_PRICES price, by counts that the gateway gets: those for search and deep research are
 * charged by the search, which chat completions do not report, and `gpt-4o-audio-preview` has no price for audio in the
 * data. GATEWAY_CONFIG can add them.
 */
export const OPENAI_MODELS: readonly ModelCard[] = Object.freeze([
  ...cards('gpt-3.5-turbo', {
    ...OLD,
    released: 1_677_610_602,
    snapshots: ['gpt-3.5-turbo-0125', 'gpt-3.5-turbo-1106'],
  }),
  ...cards('gpt-4', {
    released: 1_687_882_411,
    contextWindow: 8192,
    maxOutputTokens: 8192,
    capabilities: TEXT,
    snapshots: ['gpt-4-0613'],
  }),
  ...cards('gpt-4-turbo', {
    released: '2024-04-09',
    contextWindow: K128,
    maxOutputTokens: 4096,
    capabilities: SEEING,
    snapshots: ['gpt-4-turbo-2024-04-09'],
  }),
  ...cards('gpt-4o', {
    ...GPT_4O,
    released: '2024-05-10',
    snapshots: ['gpt-4o-2024-08-06', 'gpt-4o-2024-11-20'],
  }),
  ...cards('gpt-4o-2024-05-13', {
    ...GPT_4O,
    released: '2024-05-13',
    maxOutputTokens: 4096,
    capabilities: SEEING,
  }),
  ...cards('gpt-4o-mini', { ...GPT_4O, released: '2024-07-18', snapshots: ['gpt-4o-mini-2024-07-18'] }),
  ...cards('gpt-4.1', { ...GPT_4_1, released: '2025-04-14', snapshots: ['gpt-4.1-2025-04-14'] }),
  ...cards('gpt-4.1-mini', { ...GPT_4_1, released: '2025-04-14', snapshots: ['gpt-4.1-mini-2025-04-14'] }),
  ...cards('gpt-4.1-nano', { ...GPT_4_1, released: '2025-04-14', snapshots: ['gpt-4.1-nano-2025-04-14'] }),
  ...cards('gpt-audio', {
    ...GPT_4O,
    released: '2025-08-28',
    capabilities: HEARING,
    snapshots: ['gpt-audio-1.5'],
  }),
  ...cards('gpt-audio-mini', { ...GPT_4O, released: '2025-10-06', capabilities: HEARING }),

  ...cards('o1', { ...O_SERIES, released: '2024-12-17', snapshots: ['o1-2024-12-17'] }),
  ...cards('o1-pro', { ...O_SERIES, released: '2025-03-19' }),
  ...cards('o3', { ...O_SERIES, released: '2025-04-16', snapshots: ['o3-2025-04-16'] }),
  ...cards('o3-mini', {
    ...O_SERIES,
    released: '2025-01-31',
    capabilities: { ...TEXT, jsonSchema: true, reasoning: true },
    snapshots: ['o3-mini-2025-01-31'],
  }),
  ...cards('o3-pro', { ...O_SERIES, released: '2025-06-10' }),
  ...cards('o4-mini', { ...O_SERIES, released: '2025-04-16', snapshots: ['o4-mini-2025-04-16'] }),
  ...cards('codex-mini-latest', { ...O_SERIES, released: '2025-05-16' }),

  ...cards('gpt-5', { ...GPT_5, released: '2025-08-07', snapshots: ['gpt-5-2025-08-07'] }),
  ...cards('gpt-5-mini', { ...GPT_5, released: '2025-08-07', snapshots: ['gpt-5-mini-2025-08-07'] }),
  ...cards('gpt-5-nano', { ...GPT_5, released: '2025-08-07', snapshots: ['gpt-5-nano-2025-08-07'] }),
  ...cards('gpt-5-chat-latest', { ...GPT_4O, released: '2025-08-07' }),
  ...cards('gpt-5-pro', { ...GPT_5, released: '2025-10-06', maxOutputTokens: 272_000 }),
  ...cards('gpt-5-codex', { ...GPT_5, released: '2025-09-23' }),
  ...cards('gpt-5.1', { ...GPT_5, released: '2025-11-13', snapshots: ['gpt-5.1-2025-11-13'] }),
  ...cards('gpt-5.1-chat-latest', { ...GPT_4O, released: '2025-11-13' }),
  ...cards('gpt-5.1-codex', { ...GPT_5, released: '2025-11-13', snapshots: ['gpt-5.1-codex-max'] }),
  ...cards('gpt-5.1-codex-mini', { ...GPT_5, released: '2025-11-13' }),
  ...cards('gpt-5.2', { ...GPT_5, released: '2025-12-11', snapshots: ['gpt-5.2-2025-12-11'] }),
  ...cards('gpt-5.2-chat-latest', { ...GPT_4O, released: '2025-12-11' }),
  ...cards('gpt-5.2-pro', { ...GPT_5, released: '2025-12-11' }),
  ...cards('gpt-5.2-codex', { ...GPT_5, released: '2026-01-14' }),
  ...cards('gpt-5.3-chat-latest', { ...GPT_4O, released: '2026-03-03' }),
  ...cards('gpt-5.3-codex', { ...GPT_5, released: '2026-02-24' }),
  ...cards('gpt-5.4', { ...GPT_5_LONG, released: '2026-03-05', snapshots: ['gpt-5.4-2026-03-05'] }),
  ...cards('gpt-5.4-mini', { ...GPT_5, released: '2026-03-17', snapshots: ['gpt-5.4-mini-2026-03-17'] }),
  ...cards('gpt-5.4-nano', { ...GPT_5, released: '2026-03-17', snapshots: ['gpt-5.4-nano-2026-03-17'] }),
  ...cards('gpt-5.4-pro', { ...GPT_5_LONG, released: '2026-03-05' }),
  ...cards('gpt-5.5', { ...GPT_5_LONG, released: '2026-04-23', snapshots: ['gpt-5.5-2026-04-23'] }),
  ...cards('gpt-5.5-pro', { ...GPT_5_LONG, released: '2026-04-23' }),
  ...cards('gpt-5.6-sol', { ...GPT_5_LONG, released: '2026-07-09', aliases: ['gpt-5.6'] }),
  ...cards('gpt-5.6-terra', { ...GPT_5_LONG, released: '2026-07-09' }),
  ...cards('gpt-5.6-luna', { ...GPT_5_LONG, released: '2026-07-09' }),
  ...cards('gpt-6-astra', { ...GPT_5_LONG, released: '2026-09-03' }),
  ...cards('gpt-6-sol', { ...GPT_5_LONG, released: '2026-09-22' }),
  ...cards('gpt-6-luna', { ...GPT_5_LONG, released: '2026-09-22' }),
  ...cards('gpt-6.1-sol', { ...GPT_5_LONG, released: '2026-09-29' }),
  ...cards('gpt-6.1-terra', { ...GPT_5_LONG, released: '2026-10-26' }),
  ...cards('gpt-6.2-astra', { ...GPT_5_LONG, released: '2026-11-17' }),
  ...cards('gpt-6.2-sol', { ...GPT_5_LONG, released: '2026-11-17' }),
]);

function cards(id: string, facts: Facts): ModelCard[] {
  const { released, aliases, snapshots = [], ...limits } = facts;
  const created = typeof released === 'number' ? released : Date.parse(`${released}T00:00:00Z`) / 1000;
  const card: ModelCard = { id, ownedBy: 'openai', created, ...limits, ...(aliases ? { aliases } : {}) };
  return [card, ...snapshots.map((name) => ({ ...card, id: name, aliases: [] }))];
}
