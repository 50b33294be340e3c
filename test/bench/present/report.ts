import type { Priority } from '../measure/priority.ts';
import type { Summary, Trend } from '../measure/statistics.ts';

export type Metric =
  | 'cpu'
  | 'helperCpu'
  | 'perSecondAndCore'
  | 'addedP50'
  | 'addedP99'
  | 'addedFirstChunkP50'
  | 'addedFirstChunkP99'
  | 'residentMb'
  | 'liveKbPerStream'
  | 'residentKbPerStream'
  | 'coreShare';

/** What the figures mean, for people. */
export const METRIC_TITLES: Readonly<Record<Metric, string>> = {
  cpu: 'CPU, µs',
  helperCpu: 'CPU of its database (and Redis), µs',
  perSecondAndCore: 'per second and core',
  addedP50: 'added p50, ms',
  addedP99: 'added p99, ms',
  addedFirstChunkP50: 'added time to first chunk p50, ms',
  addedFirstChunkP99: 'added time to first chunk p99, ms',
  residentMb: 'RSS, MB',
  liveKbPerStream: 'live memory of an open stream, kB',
  residentKbPerStream: 'RSS of an open stream, kB',
  coreShare: 'share of a core',
};

export interface Row {
  readonly scenario: string;
  readonly title: string;
  readonly metric: Metric;
  readonly subject: string;
  readonly value: Summary;
  /** Round by round, this subject over that one: what happened to the machine happened to both. */
  readonly ratios: Readonly<Record<string, Summary>>;
}

export interface Target {
  readonly name: string;
  readonly limit: number;
  readonly stretch: number | undefined;
  /** `undefined` = this run did not measure it. */
  readonly measured: Summary | undefined;
}

export interface Boot {
  readonly title: string;
  readonly seconds: Summary;
}

export interface Neighbourhood {
  readonly condition: string;
  /** Milliseconds. */
  readonly addedP50: Summary;
  readonly addedP99: Summary;
  /** Its added p99 over that of the same round with everybody well. */
  readonly p99TimesWell: Summary;
}

export interface Soak {
  readonly minutes: number;
  /** Of these, in front of what follows. */
  readonly settlingMinutes: number;
  readonly requests: number;
  /** After settling in, and at the end. */
  readonly residentMb: readonly [number, number];
  readonly liveMb: readonly [number, number];
  readonly residentMbPerHour: Trend;
  readonly liveMbPerHour: Trend;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  /** Gateways on a core of their own. */
  readonly isPinned: boolean;
  /** Of subjects, load generator, upstream and databases alike. */
  readonly priority: Priority;
  /** Where the databases and journals lay. */
  readonly isOnMemoryDisk: boolean;
}

export interface Report {
  readonly startedAt: string;
  readonly minutes: number;
  readonly mode: string;
  readonly commit: string;
  readonly node: string;
  readonly machine: Machine;
  /** 1-minute load average before anything was started, and at the end. */
  readonly loadAverage: readonly [number, number];
  /** Cores that processes other than ours kept busy while it was measured. */
  readonly foreignCores: number;
  /** How late the load generator itself sent, p99 of the open loops, ms; part of every latency, the direct one's too. */
  readonly latenessMs: number | undefined;
  readonly everythingOn: string;
  readonly subjects: Readonly<Record<string, string>>;
  readonly skipped: readonly string[];
  readonly failures: readonly string[];
  readonly targets: readonly Target[];
  readonly rows: readonly Row[];
  readonly boots: readonly Boot[];
  readonly neighbourhoods: readonly Neighbourhood[];
  readonly neighboursOnMemoryDisk: boolean;
  readonly soak: Soak | undefined;
}
