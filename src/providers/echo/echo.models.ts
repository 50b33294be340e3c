import type { ModelCard } from '@app/contracts';

/** What a model of this provider does; its name says so. */
export interface EchoBehaviour {
  /** Calls the first tool that it is offered. Other models call one only if the request forces them to. */
  readonly callsTools?: true;
  /** Thinks aloud before it answers. */
  readonly reasons?: true;
  /** Multiplies the pause before each word. */
  readonly slowness?: number;
  /** Repeats the text until the answer has this many tokens. */
  readonly outputTokens?: number;
  readonly reportsNoUsage?: true;
  /** Fails at once, as a provider that answers with this status. */
  readonly failsWith?: number;
  /** What happens after a few words. */
  readonly breaksBy?: 'error' | 'cut';
  /** Never answers. */
  readonly hangs?: true;
}

/** Words that come before a stream fails. */
export const WORDS_BEFORE_BREAK = 3;

export const ECHO_BEHAVIOURS: Readonly<Record<string, EchoBehaviour>> = Object.freeze({
  echo: {},
  'echo-slow': { slowness: 20 },
  'echo-tools': { callsTools: true },
  'echo-reasoning': { reasons: true },
  'echo-long': { outputTokens: 4000 },
  'echo-no-usage': { reportsNoUsage: true },
  'echo-hang': { hangs: true },
  'echo-cut': { breaksBy: 'cut' },
  'echo-error-midstream': { breaksBy: 'error' },
  'echo-error-400': { failsWith: 400 },
  'echo-error-401': { failsWith: 401 },
  'echo-error-429': { failsWith: 429 },
  'echo-error-500': { failsWith: 500 },
  'echo-error-503': { failsWith: 503 },
  'echo-error-529': { failsWith: 529 },
});

export const ECHO_CONTEXT_WINDOW = 131_072;
export const ECHO_MAX_OUTPUT_TOKENS = 8192;

const CREATED = Date.UTC(2026, 10, 1) / 1000;

export const ECHO_MODELS: readonly ModelCard[] = Object.freeze(
  Object.entries(ECHO_BEHAVIOURS).map(([id, { reasons }]) => ({
    id,
    ownedBy: 'llm-gateway',
    created: CREATED,
    contextWindow: ECHO_CONTEXT_WINDOW,
    maxOutputTokens: ECHO_MAX_OUTPUT_TOKENS,
    capabilities: {
      tools: true,
      vision: true,
      documents: true,
      audioInput: true,
      jsonSchema: true,
      reasoning: reasons === true,
    },
  })),
);

/** Like a small model's, so that a few requests show in a balance. */
export const ECHO_PRICES = Object.freeze(
  Object.fromEntries(ECHO_MODELS.map(({ id }) => [id, { input_mtok: 0.5, output_mtok: 1.5 }])),
);
