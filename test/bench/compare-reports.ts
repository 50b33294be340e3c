import type { Summary } from './measure/statistics.ts';
import type { Metric, Report, Row } from './present/report.ts';

/**
 * Two runs of one program differ by up to so much in a ratio, because compilers decide differently each time and disks
 * are faster at one time than at another; a latency's tail is made of few requests and differs by more.
 */
const NOISE: Readonly<Partial<Record<Metric, number>>> = {
  cpu: 0.2,
  addedP50: 0.25,
  addedFirstChunkP50: 0.25,
  addedP99: 0.6,
  addedFirstChunkP99: 0.6,
  liveKbPerStream: 0.2,
};
/** The first is what the change is said in. */
const PEERS = ['raw', 'nginx', 'portkey'] as const;
const OURS = 'gateway';

export interface Change {
  readonly title: string;
  readonly metric: Metric;
  readonly peer: string;
  readonly before: Summary;
  readonly after: Summary;
  /** 0.1 = 10 % dearer. */
  readonly change: number;
  readonly verdict: 'worse' | 'better' | 'same';
}

/**
 * The gateway's ratios to its peers, then and now: they mean the same on every machine.
 *
 * Worse is what got dearer against **every** peer that both reports have, by more than the noise, with quartiles that
 * no longer touch. A peer that had a good day makes us look bad against itself only.
 */
export function compareReports(before: Report, after: Report): Change[] {
  return after.rows.filter(isCompared).flatMap((row): Change[] => {
    const old = before.rows.find(
      (other) => other.subject === OURS && other.scenario === row.scenario && other.metric === row.metric,
    );
    const peers = PEERS.filter((peer) => old?.ratios[peer] && row.ratios[peer]);
    const [peer] = peers;
    if (!old || peer === undefined) return [];
    const noise = NOISE[row.metric]!;
    const isOver = (one: Summary, other: Summary): boolean =>
      one.q1 > other.q3 && one.median > other.median * (1 + noise);
    const then = old.ratios[peer]!;
    const now = row.ratios[peer]!;
    const isWorse = peers.every((name) => isOver(row.ratios[name]!, old.ratios[name]!));
    const isBetter = peers.every((name) => isOver(old.ratios[name]!, row.ratios[name]!));
    return [
      {
        title: row.title,
        metric: row.metric,
        peer,
        before: then,
        after: now,
        change: now.median / then.median - 1,
        verdict: isWorse ? 'worse' : isBetter ? 'better' : 'same',
      },
    ];
  });
}

function isCompared({ subject, metric }: Row): boolean {
  return subject === OURS && NOISE[metric] !== undefined;
}
