/**
 * `npm run bench`: the gateway with everything on, beside its peers, in one interleaved run.
 *
 *   --quick            about two minutes; fewer scenarios and rounds
 *   --rounds N         how often every subject is visited in every scenario
 *   --only a,b         subjects: raw, nginx, gateway, gateway-free, portkey (the upstream itself is always there)
 *   --scenarios a,b    see scenarios.ts; `open` = memory of open streams
 *   --soak MINUTES     at the end, the gateway alone under steady load: does its memory grow?
 *   --profile          at the end, a CPU profile of the gateway as text
 *   --out FOLDER       where the report goes; default test/bench/report
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import jwt from 'jsonwebtoken';
import { Campaign, DIRECT } from './measure/campaign.ts';
import { LoadDriver } from './measure/load-driver.ts';
import { measureOpenStreams } from './measure/open-streams.ts';
import { profileGateway } from './measure/profile-gateway.ts';
import { soak } from './measure/soak.ts';
import { toMarkdown } from './report/markdown.ts';
import type { Report, Row } from './report/report.ts';
import { toSvg } from './report/svg.ts';
import { BILLING_OFF, targetsOf } from './report/targets.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { freePort, isPinned, startChild, stopAll, TOOL_CORE, untilAnswers } from './subjects/child.ts';
import { JWT_SECRET, startGateway } from './subjects/gateway.ts';
import { nginxVersion, startNginx } from './subjects/nginx.ts';
import { installPortkey, startPortkey } from './subjects/portkey.ts';
import { startRawProxy } from './subjects/raw.ts';
import type { Subject } from './subjects/subject.ts';

const USERS = 1_000;
const WARM_UP = { whole: 14_000, stream: 2_000 };
const QUICK_WARM_UP = { whole: 4_000, stream: 500 };
const QUICK_SCENARIOS = ['whole-64', 'stream-64', 'paced-64', 'rate-200'];
const EVERYTHING_ON =
  'JWT, request limits (in memory), durable hold and settle in PostgreSQL (embedded), metrics, a log line a request';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    scenarios: { type: 'string' },
    soak: { type: 'string' },
    profile: { type: 'boolean', default: false },
    out: { type: 'string', default: fileURLToPath(new URL('report', import.meta.url)) },
    portkey: { type: 'string', default: join(tmpdir(), 'llm-gateway-bench-portkey') },
  },
});
const mode = values.quick ? 'quick' : 'full';
const rounds = Number(values.rounds ?? (values.quick ? 3 : 5));
const wanted = values.only?.split(',');
const wantedScenarios = values.scenarios?.split(',') ?? (values.quick ? QUICK_SCENARIOS : undefined);
const startedAt = new Date();
const loadAtStart = loadavg()[0] ?? 0;

if (!existsSync('/proc/self/schedstat')) fail('The benchmark reads CPU time from /proc: it needs Linux.');
if (!existsSync(fileURLToPath(new URL('../../dist/src/main.js', import.meta.url)))) {
  fail('dist/ is missing: run "npm run build" first.');
}

const folder = mkdtempSync(join(tmpdir(), 'llm-gateway-bench-'));
const skipped: string[] = [];
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end(1));
try {
  await main();
  await end(0);
} catch (error) {
  console.error(error);
  await end(1);
}

async function main(): Promise<void> {
  const upstreamPort = await freePort();
  startChild(
    process.execPath,
    [fileURLToPath(new URL('upstream/upstream.ts', import.meta.url)), String(upstreamPort)],
    { name: 'upstream', folder, core: TOOL_CORE },
  );
  await untilAnswers(`http://127.0.0.1:${upstreamPort}/`, 'the upstream');
  const subjects = await startSubjects(upstreamPort);
  const driver = await LoadDriver.start();
  const campaign = new Campaign(subjects, driver, mintTokens());
  const chosen = scenarios(values.quick ? 0.6 : 1).filter(
    ({ name }) => wantedScenarios === undefined || wantedScenarios.includes(name),
  );
  await warmUp(campaign, chosen);
  for (let round = 0; round < rounds; round++) {
    for (const scenario of chosen) {
      progress(`round ${round + 1} of ${rounds}: ${scenario.title}`);
      await campaign.round(scenario, round);
    }
  }
  const rows: Row[] = campaign.rows(chosen);
  if (wantedScenarios?.includes('open') ?? true) {
    progress('memory of open streams');
    const measured = subjects.filter(({ name }) => name !== DIRECT && name !== BILLING_OFF);
    rows.push(...(await measureOpenStreams(measured, campaign, driver, Math.min(rounds, 3))));
  }
  mkdirSync(values.out, { recursive: true });
  write(reportOf(subjects, rows, campaign.failures, undefined));
  const gateway = subjects.find(({ name }) => name === 'gateway');
  if (gateway && (values.profile || mode === 'full')) {
    progress('profile of the gateway');
    const profile = await profileGateway(gateway, campaign, driver, chosen);
    writeFileSync(join(values.out, 'profile.txt'), profile);
  }
  if (gateway && values.soak !== undefined) {
    progress(`soak, ${values.soak} min`);
    const soaked = await soak(gateway, campaign, driver, Number(values.soak));
    write(reportOf(subjects, rows, campaign.failures, soaked));
  }
  driver.stop();
}

async function startSubjects(upstreamPort: number): Promise<Subject[]> {
  const isWanted = (name: string): boolean => wanted === undefined || wanted.includes(name);
  const subjects: Subject[] = [direct(upstreamPort)];
  if (isWanted('raw')) subjects.push(await startRawProxy(folder, upstreamPort));
  if (isWanted('nginx')) {
    if (nginxVersion() === undefined) skipped.push('nginx is not installed');
    else subjects.push(await startNginx(folder, upstreamPort));
  }
  if (isWanted('gateway')) {
    progress('starting the gateway');
    subjects.push(
      await startGateway({ name: 'gateway', title: 'LLM Gateway, everything on', folder, upstreamPort }),
    );
  }
  if (isWanted(BILLING_OFF)) {
    const env = { BILLING_ENABLED: 'false' };
    const title = 'LLM Gateway with BILLING_ENABLED=false, to see what billing costs';
    subjects.push(await startGateway({ name: BILLING_OFF, title, folder, upstreamPort, env }));
  }
  if (isWanted('portkey')) {
    progress('installing Portkey');
    const fault = installPortkey(values.portkey);
    if (fault === undefined) subjects.push(await startPortkey(values.portkey, folder, upstreamPort));
    else skipped.push(`Portkey could not be installed: ${fault}`);
  }
  return subjects;
}

function direct(port: number): Subject {
  return {
    name: DIRECT,
    title: 'the upstream itself',
    port,
    path: '/v1/chat/completions',
    headers: [],
    takesTokens: true,
    pids: [],
    helperPids: [],
    inspectorPort: undefined,
    forgetLog: () => undefined,
    stop: () => Promise.resolve(),
  };
}

function mintTokens(): string[] {
  const exp = Math.floor(Date.now() / 1000) + 24 * 3600;
  return Array.from({ length: USERS }, (_, user) => jwt.sign({ sub: `user-${user}`, exp }, JWT_SECRET));
}

async function warmUp(campaign: Campaign, chosen: readonly Scenario[]): Promise<void> {
  const counts = values.quick ? QUICK_WARM_UP : WARM_UP;
  const whole = chosen.find(({ name }) => name === 'whole-64') ?? chosen.find(({ chunks }) => chunks === 0);
  const stream = chosen.find(({ name }) => name === 'stream-64');
  progress('warming up');
  if (whole && 'inFlight' in whole.load.arrivals) await campaign.warmUp(whole, counts.whole);
  if (stream) await campaign.warmUp(stream, counts.stream);
}

function reportOf(
  subjects: readonly Subject[],
  rows: readonly Row[],
  failures: readonly string[],
  soaked: Report['soak'],
): Report {
  return {
    startedAt: startedAt.toISOString().slice(0, 16).replace('T', ' '),
    mode,
    commit: commit(),
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: availableParallelism(),
    pinned: isPinned,
    loadAverage: [loadAtStart, loadavg()[0] ?? 0],
    rounds,
    everythingOn: EVERYTHING_ON,
    subjects: Object.fromEntries(subjects.map(({ name, title }) => [name, title])),
    skipped,
    failures,
    targets: targetsOf(rows),
    rows,
    soak: soaked,
  };
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

function write(report: Report): void {
  const markdown = toMarkdown(report);
  writeFileSync(join(values.out, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(values.out, 'report.md'), markdown);
  writeFileSync(join(values.out, 'report.svg'), toSvg(report));
  console.log(markdown);
}

function progress(what: string): void {
  const seconds = Math.round((Date.now() - startedAt.getTime()) / 1000);
  console.error(`${String(seconds).padStart(4)} s  ${what}`);
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

async function end(code: number): Promise<void> {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
  process.exit(code);
}
