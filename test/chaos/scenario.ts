export type NemesisAction =
  | 'kill-gateway'
  | 'kill-all-gateways'
  | 'freeze-gateway'
  | 'stop-gateway'
  | 'kill-postgres'
  | 'freeze-postgres'
  | 'kill-redis'
  | 'freeze-redis'
  /** The store is gone, what was served meanwhile is in journals only, and then every process dies. */
  | 'freeze-postgres-kill-gateways';

export type UpstreamFault = 'rate-limited' | 'error' | 'reset' | 'cut' | 'stall';

/** Where a gateway may be told to die, once, after a restart (src/billing/crash-points.ts). */
export const CRASH_POINTS = [
  'after-claim',
  'after-hold',
  'before-journal',
  'after-journal',
  'after-settle-commit-before-mark',
  'before-answer-stored',
  'after-answer-stored',
  'before-replay-declared',
  'after-replay-declared',
] as const;

/** What a run does to the gateways, and what its clients do. Shares are parts of 1, times are milliseconds. */
export interface Scenario {
  readonly name: string;
  readonly seconds: number;
  readonly clients: number;
  readonly ampleUsers: number;
  /** Operations of users that have little money: a race to zero, again and again. */
  readonly scarceShare: number;
  /** First credit of every user: what a scarce user has. */
  readonly grant: string;
  readonly outageCredit: string;
  readonly keyedShare: number;
  readonly streamShare: number;
  readonly disconnectShare: number;
  /** Keyed operations sent twice at the same moment, to two instances. */
  readonly twinShare: number;
  readonly upstream: {
    readonly delayMs: readonly [number, number];
    readonly slowShare: number;
    readonly slowMs: readonly [number, number];
    readonly faults: Readonly<Record<UpstreamFault, number>>;
  };
  readonly nemesis: Readonly<Partial<Record<NemesisAction, number>>>;
  readonly pauseMs: readonly [number, number];
  /** A fault waits for so many answers since the last one, though no longer than the longest pause: else it hits nothing. */
  readonly answersBetween?: readonly [number, number];
  /** Of the keys that were charged and answered, so many are asked once more; of those never answered, all. */
  readonly sample: number;
  /** Restarts that arm a crash point. */
  readonly crashPointShare: number;
  /** Passages of the crash point before it strikes, at most. */
  readonly crashPassages: number;
  /** Which crash points; all by default. */
  readonly crashPoints?: readonly (typeof CRASH_POINTS)[number][];
  /** The guarantee that is taken away: a control run. */
  readonly broken?: string;
}

const CALM = { 'rate-limited': 0, error: 0, reset: 0, cut: 0, stall: 0 };

const BASE: Scenario = {
  name: 'base',
  seconds: 240,
  clients: 96,
  ampleUsers: 24,
  scarceShare: 0.1,
  grant: '0.01',
  outageCredit: '0.5',
  keyedShare: 0.6,
  streamShare: 0.33,
  disconnectShare: 0.06,
  twinShare: 0.03,
  upstream: {
    delayMs: [2, 40],
    slowShare: 0.06,
    slowMs: [200, 1500],
    faults: { 'rate-limited': 0.02, error: 0.03, reset: 0.02, cut: 0.03, stall: 0.001 },
  },
  nemesis: {
    'kill-gateway': 30,
    'kill-all-gateways': 4,
    'freeze-gateway': 7,
    'stop-gateway': 3,
    'kill-postgres': 10,
    'freeze-postgres': 5,
    'kill-redis': 2,
    'freeze-redis': 2,
    'freeze-postgres-kill-gateways': 4,
  },
  pauseMs: [200, 3000],
  sample: 300,
  crashPointShare: 0.4,
  crashPassages: 200,
};

/** A start costs as much work as some hundred requests: faults that come faster only find less to break. */
const LONG: Scenario = { ...BASE, name: 'long', pauseMs: [500, 20_000], answersBetween: [30, 330] };

const SHORT: Scenario = {
  ...BASE,
  name: 'short',
  seconds: 40,
  clients: 48,
  crashPassages: 60,
};

/** Most requests hold of what is reserved ahead for their users: few keys, few users, and money that runs out. */
const LEASES: Scenario = { ...SHORT, name: 'leases', keyedShare: 0.05, ampleUsers: 5, scarceShare: 0.3 };

/** Part of `npm run verify`: a little of everything. */
const CHECK: Scenario = {
  ...SHORT,
  name: 'check',
  seconds: 15,
  clients: 24,
  pauseMs: [200, 1500],
  crashPassages: 15,
  sample: 50,
};

const CONTROL: Scenario = { ...BASE, name: 'control', clients: 32 };

/** For each guarantee the history that shows its loss soonest. */
const CONTROLS: readonly Scenario[] = [
  {
    ...CONTROL,
    broken: 'journal-off',
    seconds: 35,
    scarceShare: 0,
    keyedShare: 0.3,
    disconnectShare: 0,
    upstream: { delayMs: [2, 40], slowShare: 0.4, slowMs: [200, 1200], faults: CALM },
    nemesis: { 'freeze-postgres-kill-gateways': 1 },
    pauseMs: [4000, 6000],
    crashPointShare: 0,
  },
  {
    ...CONTROL,
    broken: 'guard-off',
    seconds: 12,
    scarceShare: 1,
    grant: '0.002',
    upstream: { delayMs: [20, 80], slowShare: 0.2, slowMs: [200, 600], faults: CALM },
    nemesis: {},
    crashPointShare: 0,
  },
  {
    ...CONTROL,
    broken: 'dedup-off',
    seconds: 15,
    scarceShare: 0,
    keyedShare: 1,
    disconnectShare: 0.2,
    nemesis: { 'kill-gateway': 1 },
    pauseMs: [3000, 5000],
    crashPointShare: 0,
  },
  {
    ...CONTROL,
    broken: 'answer-off',
    seconds: 20,
    scarceShare: 0,
    keyedShare: 1,
    disconnectShare: 0,
    upstream: { delayMs: [2, 40], slowShare: 0, slowMs: [0, 0], faults: CALM },
    nemesis: { 'kill-gateway': 1 },
    pauseMs: [3000, 5000],
    crashPointShare: 1,
    crashPassages: 20,
    crashPoints: ['after-journal'],
  },
  {
    ...CONTROL,
    broken: 'timer-release',
    seconds: 30,
    scarceShare: 1,
    grant: '0.002',
    disconnectShare: 0,
    upstream: { delayMs: [50, 400], slowShare: 0.5, slowMs: [4000, 9000], faults: CALM },
    nemesis: {},
    crashPointShare: 0,
  },
  {
    ...CONTROL,
    broken: 'unsorted-locks',
    seconds: 20,
    clients: 64,
    ampleUsers: 4,
    scarceShare: 0,
    keyedShare: 0,
    disconnectShare: 0,
    upstream: { delayMs: [0, 2], slowShare: 0, slowMs: [0, 0], faults: CALM },
    nemesis: {},
    crashPointShare: 0,
  },
];

/** The runs of a profile, in order. */
export function scenariosOf(profile: string, minutes: number | undefined): readonly Scenario[] | undefined {
  const one = [SHORT, LEASES, CHECK, LONG].find(({ name }) => name === profile);
  if (one) return [{ ...one, seconds: minutes === undefined ? one.seconds : Math.round(minutes * 60) }];
  if (profile === 'controls') return CONTROLS;
  const named = CONTROLS.filter((scenario) => `control:${scenario.broken}` === profile);
  return named.length > 0 ? named : undefined;
}
