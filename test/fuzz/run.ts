/**
 * The fuzzers as a command: `node test/fuzz/run.ts <target>|all|list [--seed N] [--runs N] [--seconds N] [--path P]`.
 *
 * Runs on the TypeScript sources, without a build. What it does depends on the seed alone; a failure is shrunk and
 * printed with the seed and path that bring it back. Exit code 0: every promise held.
 */
import { readCommandLine } from '../support/command-line.ts';
import '../support/typescript-hooks.mjs';

const USAGE = 'usage: node test/fuzz/run.ts <target>|all|list [--seed N] [--runs N] [--seconds N] [--path P]';

const { FUZZ_TARGETS } = await import('./targets/index.ts');
const { fuzz } = await import('./fuzz.ts');

const { values, positionals } = readCommandLine(USAGE, {
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    runs: { type: 'string' },
    seconds: { type: 'string' },
    path: { type: 'string' },
  },
});
const [wanted] = positionals;

if (wanted === 'list') {
  for (const target of FUZZ_TARGETS) console.log(`${target.name.padEnd(24)} ${target.promise}`);
} else {
  const chosen = FUZZ_TARGETS.filter((target) => wanted === 'all' || target.name === wanted);
  if (chosen.length === 0) fail(USAGE);
  const options = {
    seed: number(values.seed, Date.now() % 2 ** 31),
    runs: number(values.runs, 10_000),
    seconds: number(values.seconds, 300),
    path: values.path,
  };
  for (const target of chosen) {
    const result = await fuzz(target, options);
    console.log(
      `${target.name}: ${result.runs} runs in ${result.seconds.toFixed(1)} s, seed ${options.seed}: ${result.verdict}`,
    );
    if (result.report !== undefined) fail(result.report);
  }
}

function number(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^\d{1,12}$/.test(text)) fail(USAGE);
  return Number(text);
}

function fail(text: string): never {
  console.error(text);
  process.exit(1);
}
