/**
 * `npm run bench:compare`: the newest report against the one that was committed last.
 *
 *   node test/bench/compare.ts [NEW.json [OLD.json]]
 *
 * Exit code 1 when something got worse by more than the noise, 2 when there is nothing to compare.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compareReports } from './compare-reports.ts';
import { spread } from './present/markdown.ts';
import { METRIC_TITLES, type Report } from './present/report.ts';
import { warningsOf } from './present/warnings.ts';

const COMMITTED = 'test/bench/report/report.json';
const [newFile = newest(), oldFile] = process.argv.slice(2);
const before = read(oldFile === undefined ? committed : () => readFileSync(oldFile, 'utf8'));
const after = read(() => readFileSync(newFile, 'utf8'));

for (const [name, report] of Object.entries({ before, after })) {
  console.log(
    `${name.padEnd(6)}  ${report.commit}, ${report.startedAt}, ${report.mode}, ${report.machine.cpu}`,
  );
  for (const warning of warningsOf(report)) console.log(`        WARNING: ${warning}`);
}
const changes = compareReports(before, after);
if (changes.length === 0) {
  console.error('The two reports have no figure in common.');
  process.exit(2);
}
console.log('\nThe gateway over its peer: then -> now\n');
for (const { verdict, change, title, metric, peer, before: then, after: now } of changes) {
  const mark = { worse: 'WORSE ', better: 'better', same: 'same  ' }[verdict];
  const percent = `${change >= 0 ? '+' : ''}${(change * 100).toFixed(0)} %`.padStart(6);
  console.log(
    `${mark} ${percent}  ${title}: ${METRIC_TITLES[metric]}, × ${peer}: ${spread(then)} -> ${spread(now)}`,
  );
}
const worse = changes.filter(({ verdict }) => verdict === 'worse').length;
console.log(worse > 0 ? `\n${worse} of ${changes.length} figures got worse.` : '\nNothing got worse.');
process.exit(worse > 0 ? 1 : 0);

function read(text: () => string): Report {
  try {
    return JSON.parse(text()) as Report;
  } catch (error) {
    console.error(`Not a report: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(2);
  }
}

function newest(): string {
  const files = ['report', 'latest']
    .map((folder) => fileURLToPath(new URL(`${folder}/report.json`, import.meta.url)))
    .filter(existsSync)
    .sort((first, second) => statSync(second).mtimeMs - statSync(first).mtimeMs);
  if (files[0] === undefined) {
    console.error('There is no report: run "npm run bench" first.');
    process.exit(2);
  }
  return files[0];
}

function committed(): string {
  return execFileSync('git', ['show', `HEAD:${COMMITTED}`], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
}
