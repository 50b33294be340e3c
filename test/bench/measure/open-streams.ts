import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import type { Metric, Row } from '../report/report.ts';
import { requestBody } from '../scenarios.ts';
import type { Subject } from '../subjects/subject.ts';
import type { Campaign } from './campaign.ts';
import { Inspector } from './inspector.ts';
import type { LoadDriver } from './load-driver.ts';
import { residentBytes } from './process-cost.ts';
import { summarise, type Summary } from './statistics.ts';

const WANTED = 2_000;
const GAP_MS = 2_000;
const RAMP_SECONDS = 4;
/** Two sockets and some room, of the smallest limit on the way (ours, handed to all of them). */
const FILES_PER_STREAM = 3;
/** The dearest subject's, with room for its heap to be loose. */
const BYTES_PER_STREAM = 500_000;
const TITLE = 'open streams, one chunk every 2 s';

interface Footprint {
  readonly idleBytes: number;
  readonly liveBytesPerStream: number | undefined;
  readonly residentBytesPerStream: number;
}

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

/** What an open stream costs in memory: live after a forced collection, and resident. One subject after the other. */
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
    seconds: 3,
    rampSeconds: RAMP_SECONDS,
    end: 'held',
    isStream: true,
    body: requestBody(true, 100, GAP_MS),
  } as const;
  const idleLive = await inspector?.liveBytes();
  const idleBytes = residentBytes(subject.pids);
  await driver.run(campaign.plan(subject, load), () => undefined);
  const live = await inspector?.liveBytes();
  const resident = residentBytes(subject.pids);
  await release(driver, campaign, subject);
  inspector?.close();
  return {
    idleBytes,
    liveBytesPerStream: live === undefined || idleLive === undefined ? undefined : (live - idleLive) / count,
    residentBytesPerStream: (resident - idleBytes) / count,
  };
}

/** The next plan closes what the last one held. */
async function release(driver: LoadDriver, campaign: Campaign, subject: Subject): Promise<void> {
  const load = {
    arrivals: { inFlight: 1 },
    seconds: 1,
    rampSeconds: 1,
    end: 'drained',
    isStream: false,
    body: requestBody(false, 0, 0),
  } as const;
  await driver.run(campaign.plan(subject, load), () => undefined);
}

function rowsOf(subject: Subject, found: ReadonlyMap<string, readonly Footprint[]>, count: number): Row[] {
  const scenario = `open-${count}`;
  const title = `${count.toLocaleString('en')} ${TITLE}`;
  const read = (name: string, metric: keyof Footprint): number[] =>
    (found.get(name) ?? []).map((footprint) => footprint[metric] ?? NaN);
  const units: [Metric, keyof Footprint, number][] = [
    ['idleBytes', 'idleBytes', 1024 * 1024],
    ['liveBytesPerStream', 'liveBytesPerStream', 1024],
    ['residentBytesPerStream', 'residentBytesPerStream', 1024],
  ];
  return units.flatMap(([metric, key, unit]): Row[] => {
    const own = read(subject.name, key);
    const value = summarise(own.map((bytes) => bytes / unit));
    if (!value) return [];
    const ratios: Record<string, Summary> = {};
    for (const other of found.keys()) {
      if (other === subject.name) continue;
      const theirs = read(other, key);
      const ratio = summarise(own.map((bytes, round) => bytes / (theirs[round] ?? NaN)));
      if (ratio) ratios[other] = ratio;
    }
    return [{ scenario, title, metric, subject: subject.name, value, ratios }];
  });
}
