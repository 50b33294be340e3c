import type { LoadPlan } from './load/load-plan.ts';
import { marker } from './upstream/answers.ts';

export type ScenarioName =
  | 'whole-1'
  | 'whole-64'
  | 'whole-512'
  | 'stream-1'
  | 'stream-64'
  | 'stream-512'
  | 'paced-64'
  | 'rate-200'
  | 'first-chunk-50';

export interface Scenario {
  readonly name: ScenarioName;
  readonly title: string;
  readonly load: Omit<LoadPlan, 'port' | 'path' | 'headers' | 'tokens'>;
  /** What a cost is divided by. */
  readonly unit: 'request' | 'chunk';
  /** Chunks of one stream. */
  readonly chunks: number;
}

const CHUNKS = 100;
const PACED_GAP_MS = 50;
const WORD = 'Lorem ipsum dolor sit amet, consectetur adipiscing elit. ';

/** A conversation of four messages, 1 kB. */
export function requestBody(isStream: boolean, chunks: number, gapMs: number): string {
  return JSON.stringify({
    model: 'gpt-4',
    messages: [
      { role: 'system', content: `${marker(chunks, gapMs)} You are a helpful assistant. ${WORD}` },
      { role: 'user', content: WORD.repeat(5) },
      { role: 'assistant', content: WORD.repeat(5) },
      { role: 'user', content: WORD.repeat(4) },
    ],
    temperature: 0.7,
    max_tokens: 256,
    ...(isStream ? { stream: true, stream_options: { include_usage: true } } : {}),
  });
}

function closed(inFlight: number, seconds: number, isStream: boolean): Scenario['load'] {
  return {
    arrivals: { inFlight },
    seconds,
    rampSeconds: 0,
    end: 'drained',
    isStream,
    body: requestBody(isStream, CHUNKS, 0),
  };
}

/** @param scale  of the time that each visit takes; 1 = the full run's */
export function scenarios(scale: number): Scenario[] {
  const whole = (inFlight: number, seconds: number): Scenario => ({
    name: `whole-${inFlight}` as ScenarioName,
    title: `whole answers, ${inFlight} in flight`,
    load: closed(inFlight, seconds * scale, false),
    unit: 'request',
    chunks: 0,
  });
  const stream = (inFlight: number, seconds: number): Scenario => ({
    name: `stream-${inFlight}` as ScenarioName,
    title: `streams of ${CHUNKS} chunks without a pause, ${inFlight} in flight`,
    load: closed(inFlight, seconds * scale, true),
    unit: 'request',
    chunks: CHUNKS,
  });
  return [
    whole(64, 2.5),
    stream(64, 2.5),
    {
      name: 'rate-200',
      title: 'whole answers, 200 a second (Poisson)',
      load: { ...closed(0, 4 * scale, false), arrivals: { perSecond: 200 } },
      unit: 'request',
      chunks: 0,
    },
    {
      name: 'paced-64',
      title: `streams of ${CHUNKS} chunks, ${1000 / PACED_GAP_MS} a second each, 64 in flight`,
      load: {
        ...closed(64, 3 * scale, true),
        rampSeconds: 1,
        end: 'steady',
        body: requestBody(true, CHUNKS, PACED_GAP_MS),
      },
      unit: 'chunk',
      chunks: CHUNKS,
    },
    {
      name: 'first-chunk-50',
      title: `streams of ${CHUNKS} chunks without a pause, 50 a second (Poisson)`,
      load: { ...closed(0, 3 * scale, true), arrivals: { perSecond: 50 } },
      unit: 'request',
      chunks: CHUNKS,
    },
    whole(1, 1.5),
    whole(512, 2.5),
    stream(1, 1.5),
    stream(512, 2.5),
  ];
}
