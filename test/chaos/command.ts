import { existsSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { makeRunDirectory, removeRunDirectory } from '../../libs/testing/run-directory.ts';
import { describe, isClean, toJson } from './report.ts';
import { Rig, type RunResult } from './rig.ts';
import { scenariosOf } from './scenario.ts';

const { values } = parseArgs({
  options: {
    profile: { type: 'string', default: 'short' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    program: { type: 'string', default: fileURLToPath(new URL('../../dist', import.meta.url)) },
    json: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
const scenarios = scenariosOf(values.profile, minutes);
if (!scenarios || !Number.isInteger(seed) || Number.isNaN(minutes)) {
  fail(
    'usage: node test/chaos/run.ts [--profile short|long|controls|control:<name>] [--seed N] [--minutes M]',
  );
}
const program = resolve(values.program);
if (!existsSync(join(program, 'src/main.js'))) fail(`${program} is not the built program: npm run build`);

const directory = await makeRunDirectory();
const running: Rig[] = [];
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    void Promise.all(running.map((rig) => rig.cleanUp()))
      .then(() => removeRunDirectory(directory))
      .finally(() => process.exit(130));
  });
}

const minutesText = minutes === undefined ? '' : ` --minutes ${minutes}`;
const command = `node test/chaos/run.ts --profile ${values.profile} --seed ${seed}${minutesText}`;
const results: RunResult[] = [];
let isGood = true;
for (const [index, scenario] of scenarios.entries()) {
  const rig = new Rig(scenario, seed + index, program, join(directory, `run-${index}`));
  running.push(rig);
  try {
    const result = await rig.run();
    results.push(result);
    console.log(describe(result, command));
    const isAsItShould = isClean(result.findings) === (scenario.broken === undefined);
    if (scenario.broken !== undefined) console.log(isAsItShould ? '  CAUGHT' : '  NOT CAUGHT');
    isGood &&= isAsItShould;
  } finally {
    await rig.cleanUp();
  }
}
if (values.json !== undefined) {
  await writeFile(values.json, toJson({ command, good: isGood, at: new Date().toISOString(), results }));
}
if (values.keep) {
  // Out of the reach of the next run, which sweeps what dead runs left.
  const kept = join(tmpdir(), `chaos-kept-${seed}`);
  await cp(directory, kept, { recursive: true });
  console.log(`kept: ${kept}`);
}
await removeRunDirectory(directory);
console.log(isGood ? 'GOOD' : 'BAD');
process.exit(isGood ? 0 : 1);

function fail(text: string): never {
  console.error(text);
  process.exit(1);
}
