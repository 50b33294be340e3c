/**
 * `npm run bench:compare`: the report that lies there against the one that was committed last.
 *
 *   node test/bench/compare.ts [NEW.json [OLD.json]]
 *
 * Looks at the gateway's ratios to the raw Node proxy, which mean the same on every machine. A regression is a ratio
 * whose quartiles lie wholly above the old ones, and by more than what two runs of the same program differ.
 * Exit code 1 when there is one.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { spread } from './report/markdown.ts';
import { METRIC_TITLES, type Report, type Row } from './report/report.ts';

const COMMITTED = 'test/bench/report/report.json';
/** Two runs of one program on one machine differ by so much: quartiles were ±15–20 %, runs shifted by up to 25 %. */
const NOISE = 0.25;
const BASE = 'raw';

const [newFile = fileURLToPath(new URL('report/report.json', import.meta.url)), oldFile] =
  process.argv.slice(2);
const fresh = JSON.parse(readFileSync(newFile, 'utf8')) as Report;
const old = JSON.parse(oldFile === undefined ? committed() : readFileSync(oldFile, 'utf8')) as Report;

let regressions = 0;
console.log(`${old.commit} (${old.startedAt}) -> ${fresh.commit} (${fresh.startedAt}), gateway × raw Node\n`);
for (const row of fresh.rows.filter(isGateways)) {
  const before = old.rows.find(
    (other) => isGateways(other) && other.scenario === row.scenario && other.metric === row.metric,
  )?.ratios[BASE];
  const after = row.ratios[BASE];
  if (!before || !after) continue;
  const isWorse = after.q1 > before.q3 && after.median > before.median * (1 + NOISE);
  if (isWorse) regressions++;
  const change = `${((after.median / before.median - 1) * 100).toFixed(0)} %`;
  console.log(
    `${isWorse ? 'WORSE' : 'ok   '}  ${row.title}, ${METRIC_TITLES[row.metric]}: ${spread(before)} -> ${spread(after)}, ${change}`,
  );
}
process.exit(regressions > 0 ? 1 : 0);

/** More per second is better; all else that is compared is a cost. */
function isGateways({ subject, metric }: Row): boolean {
  return subject === 'gateway' && metric !== 'perSecondAndCore' && metric !== 'helperCpu';
}

function committed(): string {
  return execFileSync('git', ['show', `HEAD:${COMMITTED}`], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
}
