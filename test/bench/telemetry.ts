/**
 * `npm run bench:telemetry`: what metrics, log, Sentry and Langfuse cost a request, and what happens to it when the last two are
 * slow, failing, hanging or gone. All gateways are alive at once and visited in turn, as in `npm run bench`.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCommandLine } from '../support/command-line.ts';
import { Campaign } from './measure/campaign.ts';
import { ForeignWork } from './measure/foreign-work.ts';
import { LoadDriver } from './measure/load-driver.ts';
import { describeCommit, describeMachine } from './measure/machine.ts';
import { spread } from './present/markdown.ts';
import type { Metric, Row } from './present/report.ts';
import { allScenarios } from './scenarios.ts';
import { freePort, pin, startChild, stopAll, TOOL_CORE } from './subjects/child.ts';
import { mintTokens, startGateway } from './subjects/gateway.ts';
import { direct } from './subjects/start-subjects.ts';
import type { Subject } from './subjects/subject.ts';
import { startUpstream } from './subjects/upstream.ts';

const WARM_UP = 6_000;
const ALL_OFF = 'off';
const CLOSED = 'whole-64';
const OPEN = 'rate-200';

const USAGE = `npm run bench:telemetry -- [options]

  --rounds N     how often every gateway is visited; default 5
  --only a,b     of the gateways
  --out FILE     default test/bench/report/telemetry.md`;

const { values } = readCommandLine(USAGE, {
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    out: { type: 'string', default: fileURLToPath(new URL('report/telemetry.md', import.meta.url)) },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'llm-gateway-bench-telemetry-'));
const loadAtStart = loadavg()[0] ?? 0;
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end(1));
try {
  await main();
  await end(0);
} catch (error) {
  console.error(error);
  await end(1);
}

async function main(): Promise<void> {
  pin([process.pid], TOOL_CORE);
  const upstreamPort = await startUpstream(folder);
  const subjects = [direct(upstreamPort), ...(await startGateways(upstreamPort))];
  const names = subjects.map(({ name }) => name);
  const driver = await LoadDriver.start();
  const campaign = new Campaign(subjects, driver, mintTokens());
  const chosen = allScenarios().filter(({ name }) => name === CLOSED || name === OPEN);
  console.error('warming up');
  await campaign.warmUp(
    chosen[0]!,
    WARM_UP,
    names.filter((name) => name !== 'direct'),
  );
  const foreign = new ForeignWork();
  for (let round = 0; round < Number(values.rounds); round++) {
    console.error(`round ${round + 1} of ${values.rounds}`);
    for (const scenario of chosen)
      await campaign.round(
        scenario,
        round,
        names.filter((name) => name !== 'direct' || scenario.name === OPEN),
      );
  }
  const foreignCores = foreign.cores();
  driver.stop();
  const text = report(subjects, campaign, campaign.rows(chosen), foreignCores);
  writeFileSync(values.out, text);
  console.log(text);
}

async function startGateways(upstreamPort: number): Promise<Subject[]> {
  const behaviours = ['ok', 'slow', 'error', 'hang'];
  const ports = new Map<string, number>([['gone', await freePort()]]);
  for (const behaviour of behaviours) ports.set(behaviour, await freePort());
  const program = fileURLToPath(new URL('subjects/telemetry-backend.ts', import.meta.url));
  const names = behaviours.map((behaviour) => `${behaviour}=${ports.get(behaviour)}`);
  startChild(process.execPath, [program, ...names], { name: 'backend', folder, core: TOOL_CORE });
  const sending = (behaviour: string, share: number) => ({
    SENTRY_DSN: `http://public@127.0.0.1:${ports.get(behaviour)}/1`,
    SENTRY_TRACES_SAMPLE_RATE: String(share),
    LANGFUSE_ENABLED: 'true',
    LANGFUSE_PUBLIC_KEY: 'pk',
    LANGFUSE_SECRET_KEY: 'sk',
    LANGFUSE_HOST: `http://127.0.0.1:${ports.get(behaviour)}`,
    LANGFUSE_SAMPLE_RATE: String(share),
  });
  const gateways: [name: string, title: string, env: Record<string, string>][] = [
    [ALL_OFF, 'no metrics, no log line a request', { PROMETHEUS_ENABLED: 'false', LOG_LEVEL: 'error' }],
    ['metrics', 'metrics', { LOG_LEVEL: 'error' }],
    ['default', 'metrics and a log line a request', {}],
    ['tenth', 'these, and a tenth of the requests to Sentry and Langfuse', sending('ok', 0.1)],
    ['all', 'these, and every request to Sentry and Langfuse', sending('ok', 1)],
    ['slow', 'as `all`; both answer after two seconds', sending('slow', 1)],
    ['error', 'as `all`; both answer 500', sending('error', 1)],
    ['hang', 'as `all`; both accept and never answer', sending('hang', 1)],
    ['gone', 'as `all`; nobody listens there', sending('gone', 1)],
  ];
  const wanted = values.only?.split(',');
  const subjects: Subject[] = [];
  for (const [name, title, env] of gateways) {
    if (wanted && name !== ALL_OFF && !wanted.includes(name)) continue;
    console.error(`starting ${name}`);
    subjects.push(await startGateway({ name, title, folder, upstreamPort, env }));
  }
  return subjects;
}

function report(
  subjects: readonly Subject[],
  { failures }: Campaign,
  rows: readonly Row[],
  foreignCores: number,
): string {
  const gateways = subjects.filter(({ name }) => name !== 'direct');
  const cells = (subject: string, scenario: string, metric: Metric): string[] => {
    const row = rows.find(
      (one) => one.subject === subject && one.scenario === scenario && one.metric === metric,
    );
    return [spread(row?.value), subject === ALL_OFF ? '1' : spread(row?.ratios[ALL_OFF])];
  };
  const { cpu, cores } = describeMachine(tmpdir());
  return `${[
    '# What telemetry costs',
    '',
    'Made by `npm run bench:telemetry`. Medians of the rounds, quartiles in brackets; `×` is against `off` in the same round, where',
    'whatever happened on the machine happened to both. Only the ratios carry over to another machine.',
    '',
    `- ${new Date().toISOString().slice(0, 10)}, commit ${describeCommit()}, Node ${process.versions.node}, ${values.rounds} rounds`,
    `- ${cpu}, ${cores} cores, load average ${loadAtStart.toFixed(1)} → ${(loadavg()[0] ?? 0).toFixed(1)}, ${foreignCores.toFixed(1)} cores busy with other work`,
    ...gateways.map(({ name, title }) => `- \`${name}\`: ${title}`),
    '',
    '| | CPU of a request, 64 in flight, µs | × | CPU at 200 a second, µs | × | added p50 at 200 a second, ms | × | added p99, ms | × |',
    '|---|---|---|---|---|---|---|---|---|',
    ...gateways.map(
      ({ name }) =>
        `| ${[
          name,
          ...cells(name, CLOSED, 'cpu'),
          ...cells(name, OPEN, 'cpu'),
          ...cells(name, OPEN, 'addedP50'),
          ...cells(name, OPEN, 'addedP99'),
        ].join(' | ')} |`,
    ),
    '',
    failures.length === 0 ? 'No request failed.' : `Failed: ${failures.join('; ')}.`,
  ].join('\n')}\n`;
}

async function end(code: number): Promise<void> {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
  process.exit(code);
}
