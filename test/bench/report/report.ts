import type { Summary } from '../measure/statistics.ts';

export type Metric =
  | 'cpu'
  | 'helperCpu'
  | 'perSecondAndCore'
  | 'addedP50'
  | 'addedP99'
  | 'addedFirstChunkP50'
  | 'addedFirstChunkP99'
  | 'idleBytes'
  | 'liveBytesPerStream'
  | 'residentBytesPerStream';

/** What the other figures mean, for people. */
export const METRIC_TITLES: Readonly<Record<Metric, string>> = {
  cpu: 'CPU, µs',
  helperCpu: "its database's CPU, µs",
  perSecondAndCore: 'per second and core',
  addedP50: 'added p50, ms',
  addedP99: 'added p99, ms',
  addedFirstChunkP50: 'added time to first chunk p50, ms',
  addedFirstChunkP99: 'added time to first chunk p99, ms',
  idleBytes: 'RSS after load, MB',
  liveBytesPerStream: 'live memory of an open stream, kB',
  residentBytesPerStream: 'RSS of an open stream, kB',
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

export interface Soak {
  readonly minutes: number;
  readonly requests: number;
  readonly residentMbPerHour: number;
  readonly liveMbPerHour: number;
}

export interface Report {
  readonly startedAt: string;
  readonly mode: 'quick' | 'full';
  readonly commit: string;
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly pinned: boolean;
  /** 1-minute load average at the start and at the end, less ours: a number above 1 is somebody else's work. */
  readonly loadAverage: readonly [number, number];
  readonly rounds: number;
  readonly everythingOn: string;
  readonly subjects: Readonly<Record<string, string>>;
  readonly skipped: readonly string[];
  readonly failures: readonly string[];
  readonly targets: readonly Target[];
  readonly rows: readonly Row[];
  readonly soak: Soak | undefined;
}
