import type { ModelCapabilities, ModelCard } from '@app/contracts';

/** Text, images, PDF, audio and video in, text out; function calls and JSON Schema. */
const MULTIMODAL: ModelCapabilities = {
  tools: true,
  vision: true,
  documents: true,
  audioInput: true,
  jsonSchema: true,
  reasoning: false,
};
const THINKING: ModelCapabilities = { ...MULTIMODAL, reasoning: true };
/** Gemini 1.0: text and function calls. */
const TEXT_ONLY: ModelCapabilities = {
  tools: true,
  vision: false,
  documents: false,
  audioInput: false,
  jsonSchema: false,
  reasoning: false,
};

const MEBI_TOKENS = 1_048_576;

interface Limits {
  contextWindow: number;
  maxOutputTokens: number;
  capabilities: ModelCapabilities;
}

const SINCE_2_5: Limits = { contextWindow: MEBI_TOKENS, maxOutputTokens: 65_536, capabilities: THINKING };
const UNTIL_2_0: Limits = { contextWindow: MEBI_TOKENS, maxOutputTokens: 8192, capabilities: MULTIMODAL };

function card(id: string, released: string, limits: Limits, aliases: readonly string[] = []): ModelCard {
  const created = Date.parse(`${released}T00:00:00Z`) / 1000;
  return { id, ownedBy: 'google', created, ...limits, ...(aliases.length > 0 ? { aliases } : {}) };
}

/**
 * Text models of the Gemini API that are in the price data or in GOOGLE_PRICES, newest first. Google has shut down the models up to
 * 2.0, and announced it of 2.5 for October 2026: it answers 404. They stay listed for servers behind GOOGLE_GEMINI_BASE_URL that have them.
 * Requests for some retired 3.x models (3-pro-preview, 3.5-flash, 3.7-flash) are answered by their successors.
 *
 * Left out: models whose output is images, speech or video, live and embedding models, Gemma (free at Google, so without a
 * price), and Gemini 4 Carbon, whose price of cached input nobody names. The price data matches 1.5-flash-8b as 1.5-flash, which is more expensive.
 *
 * @see https://ai.google.dev/gemini-api/docs/models, read 2026-11-20, Gemini 4 2026-11-30
 */
export const GOOGLE_MODELS: readonly ModelCard[] = Object.freeze([
  card('gemini-4-hydrogen', '2026-11-12', SINCE_2_5),
  card('gemini-4-argon', '2026-10-13', SINCE_2_5),
  card('gemini-3.8-flash', '2026-09-02', SINCE_2_5, ['gemini-flash-latest']),
  card('gemini-3.7-flash', '2026-08-12', SINCE_2_5),
  card('gemini-3.6-flash', '2026-07-21', SINCE_2_5),
  card('gemini-3.5-flash-lite', '2026-07-21', SINCE_2_5, ['gemini-flash-lite-latest']),
  card('gemini-3.5-flash', '2026-05-19', SINCE_2_5),
  card('gemini-3.1-flash-lite', '2026-05-07', SINCE_2_5, ['gemini-3.1-flash-lite-preview']),
  card('gemini-3.1-pro-preview', '2026-02-19', SINCE_2_5, ['gemini-3.1-pro', 'gemini-pro-latest']),
  card('gemini-3-flash-preview', '2025-12-17', SINCE_2_5, ['gemini-3-flash']),
  card('gemini-3-pro-preview', '2025-11-18', SINCE_2_5, ['gemini-3-pro']),
  card('gemini-2.5-pro', '2025-06-17', SINCE_2_5),
  card('gemini-2.5-flash', '2025-06-17', SINCE_2_5),
  card('gemini-2.5-flash-lite', '2025-07-22', SINCE_2_5),
  card('gemini-2.0-flash', '2025-02-05', UNTIL_2_0, ['gemini-2.0-flash-001']),
  card('gemini-2.0-flash-lite', '2025-02-25', UNTIL_2_0, ['gemini-2.0-flash-lite-001']),
  card('gemini-1.5-pro', '2024-05-23', { ...UNTIL_2_0, contextWindow: 2 * MEBI_TOKENS }, [
    'gemini-1.5-pro-latest',
    'gemini-1.5-pro-002',
  ]),
  card('gemini-1.5-flash', '2024-05-23', UNTIL_2_0, ['gemini-1.5-flash-latest', 'gemini-1.5-flash-002']),
  card('gemini-1.5-flash-8b', '2024-10-03', UNTIL_2_0, ['gemini-1.5-flash-8b-latest']),
  card(
    'gemini-pro',
    '2023-12-13',
    { contextWindow: 32_768, maxOutputTokens: 2048, capabilities: TEXT_ONLY },
    ['gemini-1.0-pro'],
  ),
]);
