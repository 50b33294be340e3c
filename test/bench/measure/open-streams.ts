import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import type { Metric, Row } from '../present/report.ts';
import { requestBody } from '../scenarios.ts';
import type { Subject } from '../subjects/subject.ts';
import type { Campaign } from './campaign.ts';
import { Inspector } from './inspector.ts';
import type { LoadDriver } from './load-driver.ts';
import { cpuBetween, readCpu, residentBytes } from './process-cost.ts';
import { summarise, type Summary } from './statistics.ts';

const WANTED = 2_000;
const GAP_MS = 2_000;
/** Each stream begins within one gap, so that they don't tick together. */
const SPREAD_SECONDS = 2 * (GAP_MS / 1000);
const HOLD_SECONDS = 3;
/** Two sockets and some room, of the smallest limit on the way (ours, handed to all of them). */
const FILES_PER_STREAM = 3;
/** The dearest subject's, with room for its heap to be loose. */
const BYTES_PER_STREAM = 500_000;
const MB = 1024 * 1024;
const KB = 1024;
const METRICS = [
  'residentMb',
  'liveKbPerStream',
  'residentKbPerStream',
  'coreShare',
] as const satisfies readonly Metric[];

type Footprint = Partial<Record<(typeof METRICS)[number], number>>;

/** As many of 2,000 streams as this machine's open files and memory allow. */
export function affordableStreams(): number {
  const limit = /Max open files\s+(\d+)/.exec(readLimits())?.[1];
  const byFiles = limit === undefined ? WANTED : Math.floor(Number(limit) / FILES_PER_STREAM);
  return Math.max(100, Math.min(WANTED, byFiles, Math.floor(freemem() / BYTES_PER_STREAM)));
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}

/** What an open stream costs: memory, live after a forced collection and resident, and CPU. One subject after the other. */
export async function measureOpenStreams(
  subjects: readonly Subject[],
  campaign: Campaign,
  driver: LoadDriver,
  rounds: number,
): Promise<Row[]> {
  const count = affordableStreams();
  const found = new Map<string, Footprint[]>();
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) {
      const footprint = await measureOne(subject, campaign, driver, count);
      found.set(subject.name, [...(found.get(subject.name) ?? []), footprint]);
    }
  }
  return subjects.flatMap((subject) => rowsOf(subject, found, count));
}

async function measureOne(
  subject: Subject,
  campaign: Campaign,
  driver: LoadDriver,
  count: number,
): Promise<Footprint> {
  const inspector =
    subject.inspectorPort === undefined
      ? undefined
      : await Inspector.attach(subject.pids[0]!, subject.inspectorPort);
  const load = {
    arrivals: { inFlight: count },
    warmSeconds: SPREAD_SECONDS + 1,
    spreadSeconds: SPREAD_SECONDS,
    seconds: HOLD_SECONDS,
    end: 'held',
    isStream: true,
  } as const;
  const body = requestBody({ isStream: true, gapMs: GAP_MS });
  const liveBefore = await inspector?.liveBytes();
  const residentBefore = residentBytes(subject.pids);
  const { opened, closed, result } = await driver.run(
    campaign.plan(subject, { load, body, users: 1_000 }),
    () => readCpu(subject.pids),
  );
  const live = await inspector?.liveBytes();
  const resident = residentBytes(subject.pids);
  if (result.failures > 0) campaign.failures.push(`${subject.name}, open streams: ${result.firstFailure}`);
  await release(driver, campaign, subject);
  inspector?.close();
  return {
    residentMb: residentBefore / MB,
    ...(live === undefined || liveBefore === undefined
      ? {}
      : { liveKbPerStream: (live - liveBefore) / count / KB }),
    residentKbPerStream: (resident - residentBefore) / count / KB,
    coreShare: cpuBetween(opened, closed) / (result.seconds * 1e6),
  };
}

/** The next plan closes what the last one held. */
async function release(driver: LoadDriver, campaign: Campaign, subject: Subject): Promise<void> {
  const load = {
    arrivals: { inFlight: 1 },
    warmSeconds: 1,
    spreadSeconds: 0,
    seconds: 0.1,
    end: 'drained',
    isStream: false,
  } as const;
  await driver.run(
    campaign.plan(subject, { load, body: requestBody({ isStream: false }), users: 1 }),
    () => undefined,
  );
}

function rowsOf(subject: Subject, found: ReadonlyMap<string, readonly Footprint[]>, count: number): Row[] {
  const read = (name: string, metric: keyof Footprint): number[] =>
    (found.get(name) ?? []).map((footprint) => footprint[metric] ?? NaN);
  return METRICS.flatMap((metric): Row[] => {
    const own = read(subject.name, metric);
    const value = summarise(own);
    if (!value) return [];
    const ratios: Record<string, Summary> = {};
    for (const other of found.keys()) {
      if (other === subject.name) continue;
      const theirs = read(other, metric);
      const ratio = summarise(own.map((figure, round) => figure / (theirs[round] ?? NaN)));
      if (ratio) ratios[other] = ratio;
    }
    const title = `${count.toLocaleString('en')} open streams, one chunk every ${GAP_MS / 1000} s`;
    return [{ scenario: 'open', title, metric, subject: subject.name, value, ratios }];
  });
}
