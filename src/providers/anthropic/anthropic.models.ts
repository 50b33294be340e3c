import type { ModelCard } from '@app/contracts';
import { traitsOf } from './anthropic.traits.js';

interface Facts {
  /** Release, as a date; the models before generation 4.6 carry their snapshot's date in the name. */
  released: string;
  upstreamModel?: string;
  contextWindow: number;
  maxOutputTokens: number;
  aliases?: readonly string[];
  /** PDF; since Claude 3.5. */
  documents?: boolean;
}

const K200 = 200_000;
const MILLION = 1_000_000;

/**
 * Limits and release dates, read 2026-11-23, those since Sonnet 5.5 2026-11-30.
 *
 * @see https://platform.claude.com/docs/en/about-claude/models/overview and the model pages it links
 *
 * Models up to generation 4.1, and Sonnet 4.5 from 2026-11-30 on, are retired at Anthropic, which answers 404 to them; they stay listed
 * for servers behind ANTHROPIC_BASE_URL that have them. The invitation-only Mythos models have no price here: give them one in
 * GATEWAY_CONFIG.
 */
export const ANTHROPIC_MODELS: readonly ModelCard[] = Object.freeze([
  card('claude-2.0', {
    released: '2023-07-11',
    contextWindow: 100_000,
    maxOutputTokens: 4096,
  }),
  card('claude-2.1', {
    released: '2023-11-21',
    contextWindow: K200,
    maxOutputTokens: 4096,
    aliases: ['claude-2'],
  }),
  card('claude-3-haiku', {
    released: '2024-03-07',
    upstreamModel: 'claude-3-haiku-20240307',
    contextWindow: K200,
    maxOutputTokens: 4096,
    documents: false,
  }),
  card('claude-3-sonnet', {
    released: '2024-02-29',
    upstreamModel: 'claude-3-sonnet-20240229',
    contextWindow: K200,
    maxOutputTokens: 4096,
    documents: false,
  }),
  card('claude-3-opus', {
    released: '2024-02-29',
    upstreamModel: 'claude-3-opus-20240229',
    contextWindow: K200,
    maxOutputTokens: 4096,
    documents: false,
    aliases: ['claude-3-opus-latest'],
  }),
  card('claude-3-5-haiku', {
    released: '2024-10-22',
    upstreamModel: 'claude-3-5-haiku-20241022',
    contextWindow: K200,
    maxOutputTokens: 8192,
    aliases: ['claude-3-5-haiku-latest'],
  }),
  card('claude-3-5-sonnet-20240620', { released: '2024-06-20', contextWindow: K200, maxOutputTokens: 8192 }),
  card('claude-3-5-sonnet', {
    released: '2024-10-22',
    upstreamModel: 'claude-3-5-sonnet-20241022',
    contextWindow: K200,
    maxOutputTokens: 8192,
    aliases: ['claude-3-5-sonnet-latest'],
  }),
  card('claude-3-7-sonnet', {
    released: '2025-02-19',
    upstreamModel: 'claude-3-7-sonnet-20250219',
    contextWindow: K200,
    maxOutputTokens: 64_000,
    // The name of a family means its newest member, as `claude-2` means 2.1.
    aliases: ['claude-3-7-sonnet-latest', 'claude-3'],
  }),
  card('claude-sonnet-4', {
    released: '2025-05-14',
    upstreamModel: 'claude-sonnet-4-20250514',
    contextWindow: K200,
    maxOutputTokens: 64_000,
    aliases: ['claude-sonnet-4-0'],
  }),
  card('claude-opus-4', {
    released: '2025-05-14',
    upstreamModel: 'claude-opus-4-20250514',
    contextWindow: K200,
    maxOutputTokens: 32_000,
    aliases: ['claude-opus-4-0'],
  }),
  card('claude-opus-4-1', {
    released: '2025-08-05',
    upstreamModel: 'claude-opus-4-1-20250805',
    contextWindow: K200,
    maxOutputTokens: 32_000,
  }),
  card('claude-sonnet-4-5', {
    released: '2025-09-29',
    upstreamModel: 'claude-sonnet-4-5-20250929',
    contextWindow: K200,
    maxOutputTokens: 64_000,
  }),
  card('claude-haiku-4-5', {
    released: '2025-10-01',
    upstreamModel: 'claude-haiku-4-5-20251001',
    contextWindow: K200,
    maxOutputTokens: 64_000,
  }),
  card('claude-opus-4-5', {
    released: '2025-11-01',
    upstreamModel: 'claude-opus-4-5-20251101',
    contextWindow: K200,
    maxOutputTokens: 64_000,
  }),
  // Since generation 4.6 the names have no date: each is a pinned version.
  card('claude-opus-4-6', { released: '2026-02-05', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-sonnet-4-6', { released: '2026-02-17', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-opus-4-7', { released: '2026-04-16', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-opus-4-8', { released: '2026-05-28', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-fable-5', { released: '2026-06-09', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-sonnet-5', { released: '2026-06-30', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-opus-5', { released: '2026-07-24', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-fable-5-1', { released: '2026-09-01', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-opus-5-5', { released: '2026-09-22', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-sonnet-5-5', { released: '2026-09-28', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-haiku-5-5', { released: '2026-10-07', contextWindow: MILLION, maxOutputTokens: 128_000 }),
  card('claude-fable-5-2', { released: '2026-11-09', contextWindow: MILLION, maxOutputTokens: 128_000 }),
]);

function card(id: string, facts: Facts): ModelCard {
  const { upstreamModel = id, aliases = [] } = facts;
  const traits = traitsOf(upstreamModel);
  const { textOnly } = traits;
  return {
    id,
    upstreamModel,
    ownedBy: 'anthropic',
    created: Date.parse(facts.released) / 1000,
    contextWindow: facts.contextWindow,
    maxOutputTokens: facts.maxOutputTokens,
    capabilities: {
      tools: !textOnly,
      vision: !textOnly,
      documents: !textOnly && facts.documents !== false,
      audioInput: false,
      jsonSchema: !textOnly,
      reasoning: traits.thinking !== 'none',
    },
    aliases: upstreamModel === id ? aliases : [...aliases, upstreamModel],
  };
}

/** Output limit of a model that we do not know: the smallest of any Claude model. */
const UNKNOWN_MAX_OUTPUT_TOKENS = 4096;

const MAX_OUTPUT_TOKENS: ReadonlyMap<string, number> = new Map(
  ANTHROPIC_MODELS.flatMap((model) =>
    [model.id, model.upstreamModel ?? model.id, ...(model.aliases ?? [])].map(
      (name) => [name, model.maxOutputTokens] as const,
    ),
  ),
);

/** Anthropic requires `max_tokens` in every request. This is the value for a client that set no limit. */
export function maxOutputTokensOf(upstreamModel: string): number {
  return MAX_OUTPUT_TOKENS.get(upstreamModel) ?? UNKNOWN_MAX_OUTPUT_TOKENS;
}
