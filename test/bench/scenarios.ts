import type { LoadPlan } from './load/load-plan.ts';
import { marker } from './upstream/script.ts';

/** Everything that a request can be sent to; `direct` is the upstream itself. */
export const SUBJECTS = [
  'direct',
  'raw',
  'nginx',
  'gateway',
  'gateway-free',
  'gateway-silent',
  'gateway-memory',
  'gateway-redis',
  'portkey',
] as const;
export type SubjectName = (typeof SUBJECTS)[number];

/**
 * Started anew between rounds: two processes of one program differ by more than two rounds of one process do, because
 * compilers decide differently, and a spread without that would promise too much. The others are started once.
 */
export const RESTARTED: readonly SubjectName[] = ['raw', 'gateway', 'gateway-free'];

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly load: Omit<LoadPlan, 'port' | 'path' | 'headers' | 'tokens' | 'body'>;
  /** Of all subjects but the gateway; and the gateway's, where it differs. */
  readonly body: string;
  readonly gatewayBody?: string;
  /** Users whose tokens are used in turn. */
  readonly users: number;
  /** What a cost is divided by. */
  readonly unit: 'request' | 'chunk';
  readonly subjects: readonly SubjectName[];
  /** Visits of the full run. */
  readonly rounds: number;
  /** Whom the quick run visits; nobody = not part of it. */
  readonly quickSubjects: readonly SubjectName[];
  readonly quickRounds: number;
}

const CHUNKS = 100;
const PACED_GAP_MS = 50;
const USERS = 1_000;
const LARGE_BODY_MESSAGES = 40;
const WORD = 'Lorem ipsum dolor sit amet, consectetur adipiscing elit. ';
const OPENAI_MODEL = 'gpt-4';
const TRANSLATED = { anthropic: 'claude-3-opus', google: 'gemini-1.5-pro' } as const;

const PEERS: readonly SubjectName[] = ['raw', 'nginx', 'gateway', 'portkey'];
const MAIN_ROUNDS = 5;
const SIDE_ROUNDS = 3;

export interface BodyOptions {
  readonly model?: string;
  readonly isStream: boolean;
  readonly chunks?: number;
  readonly gapMs?: number;
  readonly waitMs?: number;
  /** In all; of about 250 bytes each, or 1,600 beyond four. */
  readonly messages?: number;
}

/** A conversation: four messages of 1 kB in all, unless it says otherwise. */
export function requestBody(options: BodyOptions): string {
  const { model = OPENAI_MODEL, isStream, chunks = CHUNKS, gapMs = 0, waitMs = 0, messages = 4 } = options;
  const words = messages > 4 ? 28 : 4;
  return JSON.stringify({
    model,
    messages: [
      {
        role: 'system',
        content: `${marker({ chunks, gapMs, waitMs })} You are a helpful assistant. ${WORD}`,
      },
      ...Array.from({ length: messages - 1 }, (_, index) => ({
        role: index % 2 === 0 ? 'user' : 'assistant',
        content: WORD.repeat(words),
      })),
    ],
    temperature: 0.7,
    max_tokens: 256,
    ...(isStream ? { stream: true, stream_options: { include_usage: true } } : {}),
  });
}

interface Visit {
  readonly isStream: boolean;
  readonly seconds: number;
}

function closed(inFlight: number, { isStream, seconds }: Visit): Scenario['load'] {
  return {
    arrivals: { inFlight },
    seconds,
    warmSeconds: 0.4,
    spreadSeconds: 0,
    end: 'drained',
    isStream,
  };
}

function open(perSecond: number, visit: Visit): Scenario['load'] {
  return { ...closed(0, visit), arrivals: { perSecond } };
}

const DEFAULTS = {
  users: USERS,
  unit: 'request',
  subjects: PEERS,
  rounds: SIDE_ROUNDS,
  quickSubjects: [],
  quickRounds: 3,
} as const;

function whole(inFlight: number, more: Partial<Scenario> = {}): Scenario {
  return {
    ...DEFAULTS,
    name: `whole-${inFlight}`,
    title: `whole answers, ${inFlight} in flight`,
    load: closed(inFlight, { isStream: false, seconds: 2 }),
    body: requestBody({ isStream: false }),
    ...more,
  };
}

function stream(inFlight: number, more: Partial<Scenario> = {}): Scenario {
  return {
    ...DEFAULTS,
    name: `stream-${inFlight}`,
    title: `streams of ${CHUNKS} chunks without a pause, ${inFlight} in flight`,
    load: closed(inFlight, { isStream: true, seconds: 2 }),
    body: requestBody({ isStream: true }),
    ...more,
  };
}

/** The gateway's answer comes in another vendor's format; the raw proxy passes OpenAI's, as always. */
function translated(vendor: keyof typeof TRANSLATED, isStream: boolean): Scenario {
  const make = isStream ? stream : whole;
  return make(64, {
    name: `${vendor}-${isStream ? 'stream' : 'whole'}-64`,
    title: `${isStream ? 'streams' : 'whole answers'} translated from ${vendor === 'google' ? 'Google' : 'Anthropic'}’s format, 64 in flight`,
    subjects: ['raw', 'gateway'],
    gatewayBody: requestBody({ isStream, model: TRANSLATED[vendor] }),
  });
}

/** In the order in which a round goes through them. The first two are also what every subject is warmed up with. */
export function allScenarios(): Scenario[] {
  return [
    whole(64, {
      subjects: ['raw', 'nginx', 'gateway', 'gateway-free', 'gateway-silent', 'gateway-redis', 'portkey'],
      rounds: MAIN_ROUNDS,
      quickSubjects: ['raw', 'nginx', 'gateway', 'gateway-free', 'portkey'],
      quickRounds: 4,
    }),
    stream(64, {
      subjects: ['raw', 'nginx', 'gateway', 'gateway-free', 'portkey'],
      rounds: MAIN_ROUNDS,
      quickSubjects: ['raw', 'gateway'],
      quickRounds: 4,
    }),
    {
      ...DEFAULTS,
      name: 'rate-200',
      title: 'whole answers, 200 a second (Poisson)',
      load: open(200, { isStream: false, seconds: 4 }),
      body: requestBody({ isStream: false }),
      subjects: ['direct', ...PEERS, 'gateway-memory', 'gateway-redis'],
      rounds: MAIN_ROUNDS,
      quickSubjects: ['direct', 'raw', 'gateway', 'portkey'],
    },
    {
      ...DEFAULTS,
      name: 'rate-3000',
      title: 'whole answers, 3,000 a second (Poisson): the same work for all, and none of them full',
      load: open(3_000, { isStream: false, seconds: 2 }),
      body: requestBody({ isStream: false }),
      subjects: ['direct', 'raw', 'gateway', 'gateway-free', 'gateway-memory'],
    },
    {
      ...DEFAULTS,
      name: 'paced-64',
      title: `streams of ${CHUNKS} chunks, ${1000 / PACED_GAP_MS} a second each, 64 at a time`,
      // Each stream from its start to its end: what opens and closes it is spread over its chunks.
      load: {
        ...closed(64, { isStream: true, seconds: 60 }),
        warmSeconds: 0,
        spreadSeconds: 1,
        maxRequests: 64,
      },
      body: requestBody({ isStream: true, gapMs: PACED_GAP_MS }),
      unit: 'chunk',
      rounds: MAIN_ROUNDS,
      quickSubjects: ['raw', 'gateway'],
    },
    {
      ...DEFAULTS,
      name: 'stream-rate-200',
      title: `streams of ${CHUNKS} chunks without a pause, 200 a second (Poisson)`,
      load: open(200, { isStream: true, seconds: 4 }),
      body: requestBody({ isStream: true }),
      subjects: ['direct', ...PEERS],
      rounds: 4,
    },
    whole(1, { subjects: ['direct', ...PEERS], load: closed(1, { isStream: false, seconds: 1.2 }) }),
    stream(1, { subjects: ['direct', ...PEERS], load: closed(1, { isStream: true, seconds: 1.2 }) }),
    whole(512),
    stream(512),
    whole(64, {
      name: 'one-user-64',
      title: 'whole answers, 64 in flight, all of one user',
      subjects: ['raw', 'gateway'],
      users: 1,
    }),
    whole(16, {
      name: 'large-16',
      title: 'whole answers to requests of 65 kB, 16 in flight',
      body: requestBody({ isStream: false, messages: LARGE_BODY_MESSAGES }),
    }),
    translated('anthropic', false),
    translated('anthropic', true),
    translated('google', false),
    translated('google', true),
  ];
}

export function isOpenLoop({ load }: Scenario): boolean {
  return 'perSecond' in load.arrivals;
}
