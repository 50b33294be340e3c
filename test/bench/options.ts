import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { allScenarios, type Scenario, type SubjectName, SUBJECTS } from './scenarios.ts';

/** What is measured beside the scenarios. */
export const PARTS = ['startup', 'open', 'neighbours', 'soak', 'profile'] as const;
export type Part = (typeof PARTS)[number];

export const USAGE = `npm run bench -- [options]

  --quick             the targets only, about 4 minutes
  --only a,b          scenarios and parts: ${[...allScenarios().map(({ name }) => name), ...PARTS].join(', ')}
  --subjects a,b      ${SUBJECTS.join(', ')}
  --rounds N          how often every scenario visits its subjects
  --soak MINUTES      length of the soak; 75 shows whether memory grows: a process fills for its first 45
  --gateway-env A=B   a setting of every gateway; may be repeated
  --out FOLDER        where the report goes; default test/bench/report for a full run, else test/bench/latest
  --work FOLDER       where databases and journals lie while it runs; default the system's temporary folder
`;

const DEFAULT_SOAK_MINUTES = 1.5;

export interface Options {
  /** For the report. */
  readonly mode: string;
  /** Of what is measured beside the scenarios; `undefined` = its own. */
  readonly rounds: number | undefined;
  roundsOf(scenario: Scenario): number;
  /** Rounds before which processes are started anew. */
  readonly restarts: ReadonlySet<number>;
  readonly scenarios: readonly Scenario[];
  readonly parts: ReadonlySet<Part>;
  /** Whom a scenario visits in this run. */
  visited(scenario: Scenario): readonly SubjectName[];
  /** All that have to be started. */
  readonly subjects: ReadonlySet<SubjectName>;
  readonly openStreams: { readonly subjects: readonly SubjectName[]; readonly rounds: number };
  readonly soakMinutes: number;
  readonly gatewayEnv: Readonly<Record<string, string>>;
  readonly out: string;
  readonly work: string;
}

/** Somebody asked what the options are. */
export class HelpWanted extends Error {}

/** @throws Error that says which option is wrong */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      subjects: { type: 'string' },
      rounds: { type: 'string' },
      soak: { type: 'string' },
      'gateway-env': { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
      work: { type: 'string', default: tmpdir() },
    },
  });
  if (values.help) throw new HelpWanted();
  const all = allScenarios();
  const only = chooseFrom(values.only, [...all.map(({ name }) => name), ...PARTS], '--only');
  const chosenSubjects = chooseFrom(values.subjects, SUBJECTS, '--subjects');
  const isPartial = values.quick || only !== undefined || chosenSubjects !== undefined;
  const visited = (scenario: Scenario): SubjectName[] => {
    const own = values.quick && only === undefined ? scenario.quickSubjects : scenario.subjects;
    // Without the upstream's own latency nobody's added latency is known.
    return own.filter((name) => name === 'direct' || (chosenSubjects?.has(name) ?? true));
  };
  const rounds = numberOf(values.rounds, '--rounds');
  const scenarios = all.filter(
    (scenario) => (only?.has(scenario.name) ?? true) && visited(scenario).some((name) => name !== 'direct'),
  );
  const parts = new Set(PARTS.filter((part) => only?.has(part) ?? (!values.quick || part === 'open')));
  const openStreams = {
    subjects: (values.quick
      ? (['raw', 'gateway'] as const)
      : (['raw', 'nginx', 'gateway', 'portkey'] as const)
    ).filter((name) => chosenSubjects?.has(name) ?? true),
    rounds: rounds ?? (values.quick ? 1 : 3),
  };
  const subjects = new Set<SubjectName>(['direct', ...scenarios.flatMap(visited)]);
  if (parts.has('open')) for (const name of openStreams.subjects) subjects.add(name);
  if (parts.has('soak') || parts.has('profile')) subjects.add('gateway');
  return {
    mode: values.quick ? 'quick run' : isPartial ? 'partial run' : 'full run',
    rounds,
    restarts: new Set(values.quick ? [2] : [2, 4]),
    roundsOf: (scenario) => rounds ?? (values.quick ? scenario.quickRounds : scenario.rounds),
    scenarios,
    parts,
    visited,
    subjects,
    openStreams,
    soakMinutes: numberOf(values.soak, '--soak') ?? DEFAULT_SOAK_MINUTES,
    gatewayEnv: Object.fromEntries(values['gateway-env'].map(readSetting)),
    out:
      values.out ??
      fileURLToPath(
        new URL(isPartial || values['gateway-env'].length > 0 ? 'latest' : 'report', import.meta.url),
      ),
    work: values.work,
  };
}

function chooseFrom<Name extends string>(
  text: string | undefined,
  names: readonly Name[],
  option: string,
): ReadonlySet<Name> | undefined {
  if (text === undefined) return undefined;
  return new Set(
    text.split(',').map((wanted) => {
      const found = names.find((name) => name === wanted);
      if (found === undefined) throw new Error(`${option} ${wanted}: one of ${names.join(', ')}`);
      return found;
    }),
  );
}

function numberOf(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!(number > 0)) throw new Error(`${option} ${text}: a number above 0`);
  return number;
}

function readSetting(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new Error(`--gateway-env ${text}: NAME=VALUE`);
  return [text.slice(0, at), text.slice(at + 1)];
}
