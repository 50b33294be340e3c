import type { Registry } from 'prom-client';
import { FastMetric } from './fast-series.js';
import { labelText } from './label-text.js';
import { ShortTurns } from './short-turns.js';

/** So much of the page is one part, characters: no series is torn, so a part may be a little more. */
const PART_LENGTH = 32_768;

/** What the lines of one metric have in common. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  /** How the figures of several workers become one; `latest` needs `seenAt`. */
  readonly aggregator: string;
}

/** A piece of the page: some lines of one metric. */
export interface PagePart {
  readonly family: Family;
  /** Whole lines, each with its end. */
  readonly lines: string;
  /** Of each line, Unix milliseconds; only of `user_balance`. */
  readonly seenAt?: readonly number[];
}

/**
 * A registry's figures in the words of the page, a piece at a time. Hundreds of models make megabytes: whoever waits for the event
 * loop meanwhile gets a turn between the pieces.
 */
export async function* pageParts(registry: Registry): AsyncGenerator<PagePart> {
  const turns = new ShortTurns();
  for (const metric of registry.getMetricsAsArray()) {
    if (metric instanceof FastMetric) yield* fastParts(metric, turns);
    else yield await plainPart(metric as unknown as PlainSource);
    await turns.pause();
  }
}

async function* fastParts(metric: FastMetric<string, unknown>, turns: ShortTurns): AsyncGenerator<PagePart> {
  const { name, help, type, aggregator } = metric;
  const family = { name, help, type, aggregator };
  let lines = '';
  for (const series of metric.lines()) {
    lines += series;
    if (lines.length < PART_LENGTH) continue;
    yield { family, lines };
    lines = '';
    await turns.pause();
  }
  yield { family, lines };
}

/** What the client library's metrics answer. */
interface PlainSource {
  get(): Promise<{
    readonly name: string;
    readonly help: string;
    readonly type: unknown;
    readonly aggregator: string;
    readonly values: readonly PlainValue[];
  }>;
}

interface PlainValue {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
  readonly seenAt?: number;
}

async function plainPart(metric: PlainSource): Promise<PagePart> {
  const { name, help, type, aggregator, values } = await metric.get();
  const seenAt = values.flatMap((value) => value.seenAt ?? []);
  return {
    // The library's type is an enum of numbers; what it gives is the word.
    family: { name, help, type: String(type), aggregator: aggregatorOf(name, aggregator) },
    lines: values.map((value) => plainLine(name, value)).join(''),
    ...(seenAt.length > 0 ? { seenAt } : {}),
  };
}

/** The library leaves the start of the process out of a sum; that of the oldest worker tells how long the counts go back. */
function aggregatorOf(name: string, aggregator: string): string {
  return name === 'process_start_time_seconds' ? 'min' : aggregator;
}

function plainLine(name: string, { value, labels, metricName = name }: PlainValue): string {
  const text = labelText(Object.entries(labels));
  return `${metricName}${text === '' ? '' : `{${text}}`} ${figure(value)}\n`;
}

/** A number as Prometheus reads it. */
export function figure(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

/** The parts with what stands above each metric; together they are the page. */
export async function pageTexts(parts: AsyncIterable<PagePart> | Iterable<PagePart>): Promise<string[]> {
  const texts: string[] = [];
  let above: string | undefined;
  for await (const { family, lines } of parts) {
    if (family.name === above) texts.push(lines);
    else texts.push(`${above === undefined ? '' : '\n'}${heading(family)}${lines}`);
    above = family.name;
  }
  return texts;
}

function heading({ name, help, type }: Family): string {
  const text = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return `# HELP ${name} ${text}\n# TYPE ${name} ${type}\n`;
}
