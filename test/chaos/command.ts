import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCommandLine } from '../support/command-line.ts';
import { makeRunDirectory, removeRunDirectory } from '../../libs/testing/run-directory.ts';
import { describe, toJson } from './report.ts';
import { Rig, type RunResult } from './rig.ts';
import { type Scenario, scenariosOf } from './scenario.ts';
import { isAsItShould, summarise, toResultFile } from './summary.ts';

const USAGE =
  'usage: node test/chaos/run.ts [--profile check|short|leases|long|controls|control:<name>] [--seed N] [--minutes M] [--program dist] [--out folder] [--keep], or --sum folder';

const { values } = readCommandLine(USAGE, {
  options: {
    profile: { type: 'string', default: 'short' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    program: { type: 'string', default: fileURLToPath(new URL('../../dist', import.meta.url)) },
    out: { type: 'string' },
    sum: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
if (values.sum !== undefined) {
  const { text, good } = await summarise(values.sum);
  console.log(text);
  process.exit(good ? 0 : 1);
}
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
const scenarios = scenariosOf(values.profile, minutes);
if (!scenarios || !Number.isInteger(seed) || Number.isNaN(minutes)) {
  fail(USAGE);
}
const built = resolve(values.program);
if (!existsSync(join(built, 'src/main.js'))) fail(`${built} is not the built program: npm run build`);

const directory = await makeRunDirectory();
const program = await copyProgram(built, join(directory, 'program'));
const running: Rig[] = [];
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    console.error(`ended by ${signal}`);
    void Promise.all(running.map((rig) => rig.cleanUp()))
      .then(() => removeRunDirectory(directory))
      .finally(() => process.exit(130));
  });
}

let isGood = true;
for (const scenario of scenarios) {
  const command = commandOf(scenario);
  console.log(command);
  const rig = new Rig(scenario, seed, program, join(directory, `run-${running.length}`));
  running.push(rig);
  try {
    const result = await rig.run();
    const good = isAsItShould(result);
    console.log(describe(result));
    if (scenario.broken !== undefined) console.log(good ? '  CAUGHT' : '  NOT CAUGHT');
    await keep(command, good, result);
    isGood &&= good;
  } finally {
    await rig.cleanUp();
  }
}
if (values.keep) {
  // Out of the reach of the next run, which sweeps what dead runs left.
  const kept = join(tmpdir(), `chaos-kept-${seed}`);
  await rm(kept, { recursive: true, force: true });
  await cp(directory, kept, { recursive: true });
  console.log(`kept: ${kept}`);
}
await removeRunDirectory(directory);
console.log(isGood ? 'GOOD' : 'BAD');
process.exit(isGood ? 0 : 1);

/** So that a build in the meantime takes nothing away from gateways that start again. */
async function copyProgram(from: string, folder: string): Promise<string> {
  const root = dirname(from);
  await cp(from, join(folder, 'dist'), { recursive: true });
  await copyFile(join(root, 'package.json'), join(folder, 'package.json'));
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  return join(folder, 'dist');
}

/** What repeats this one run. */
function commandOf(scenario: Scenario): string {
  const profile = scenario.broken === undefined ? scenario.name : `control:${scenario.broken}`;
  const minutesText = minutes === undefined ? '' : ` --minutes ${minutes}`;
  return `node test/chaos/run.ts --profile ${profile} --seed ${seed}${minutesText}`;
}

async function keep(command: string, good: boolean, result: RunResult): Promise<void> {
  if (values.out === undefined) return;
  await mkdir(values.out, { recursive: true });
  const name = `${result.scenario.name}-${result.scenario.broken ?? 'all'}-${result.seed}.json`;
  await writeFile(join(values.out, name), toJson(toResultFile(command, good, result)));
}

function fail(text: string): never {
  console.error(text);
  process.exit(1);
}
