/** `npm run bench`: the gateway with everything on, beside its peers, in one interleaved run. See README.md. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Campaign } from './measure/campaign.ts';
import { LoadDriver } from './measure/load-driver.ts';
import { describeCommit, describeMachine } from './measure/machine.ts';
import { measureOpenStreams } from './measure/open-streams.ts';
import { ForeignWork } from './measure/foreign-work.ts';
import { residentBytes } from './measure/process-cost.ts';
import { profileGateway } from './measure/profile-gateway.ts';
import { measureSlowNeighbours } from './measure/slow-neighbours.ts';
import { soak } from './measure/soak.ts';
import { measureStartup } from './measure/startup.ts';
import { quantile, summarise } from './measure/statistics.ts';
import { HelpWanted, type Options, readOptions, USAGE } from './options.ts';
import { toMarkdown } from './present/markdown.ts';
import type { Boot, Neighbourhood, Report, Row, Soak } from './present/report.ts';
import { toSvg } from './present/svg.ts';
import { targetsOf } from './present/targets.ts';
import { allScenarios, RESTARTED } from './scenarios.ts';
import { pin, stopAll, TOOL_CORE } from './subjects/child.ts';
import { EVERYTHING_ON, mintTokens, PROGRAM } from './subjects/gateway.ts';
import { type StartOptions, startSubject, startSubjects } from './subjects/start-subjects.ts';
import type { Subject } from './subjects/subject.ts';
import { memoryFolder as newMemoryFolder } from './subjects/memory-disk.ts';
import { startUpstream } from './subjects/upstream.ts';

/**
 * After 14,000 answers a large program still got faster by a third; after these no longer. Streams come first: what
 * compilers learn from them makes them forget some of what they knew of whole answers.
 */
const WARM_UP = { stream: 3_000, whole: 30_000 };
const PROFILED = ['whole-64', 'stream-64', 'paced-64'];
const SETTLE_MS = 3_000;
const STARTUP_ROUNDS = 5;
const NEIGHBOUR_ROUNDS = 5;

const startedAt = new Date();
const loadAtStart = loadavg()[0] ?? 0;
const options = optionsOrExit();
if (!existsSync('/proc/self/schedstat')) fail('The benchmark reads CPU time from /proc: it needs Linux.');
if (!existsSync(PROGRAM)) fail('dist/ is missing: run "npm run build" first.');
const machine = describeMachine(options.work);
const folder = mkdtempSync(join(options.work, 'llm-gateway-bench-'));
const memoryFolder = newMemoryFolder();
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
  let boots: Boot[] = [];
  if (options.parts.has('startup')) {
    progress('startup');
    boots = await measureStartup(folder, upstreamPort, options.rounds ?? STARTUP_ROUNDS);
  }
  progress(`starting ${[...options.subjects].join(', ')}`);
  const startOptions: StartOptions = {
    wanted: options.subjects,
    folder,
    memoryFolder,
    portkeyFolder: join(tmpdir(), 'llm-gateway-bench-portkey'),
    upstreamPort,
    gatewayEnv: options.gatewayEnv,
  };
  const { subjects, skipped } = await startSubjects(startOptions);
  const driver = await LoadDriver.start();
  const campaign = new Campaign(subjects, driver, mintTokens());
  const rows = await idleRows(subjects);
  const names = subjects.map(({ name }) => name);
  await warmUp(campaign, names);
  const foreign = new ForeignWork();
  await goRound(campaign, foreign, startOptions);
  rows.push(...campaign.rows(options.scenarios));
  if (options.parts.has('open')) {
    progress('open streams');
    const { subjects: wanted, rounds } = options.openStreams;
    const measured = campaign.subjects.filter(({ name }) => wanted.some((other) => other === name));
    rows.push(...(await measureOpenStreams(measured, campaign, driver, rounds)));
  }
  const foreignCores = foreign.cores();
  let neighbourhoods: Neighbourhood[] = [];
  if (options.parts.has('neighbours')) {
    progress('while others are slow');
    const rounds = options.rounds ?? NEIGHBOUR_ROUNDS;
    neighbourhoods = await measureSlowNeighbours(
      folder,
      memoryFolder,
      subjects[0]!,
      campaign,
      driver,
      rounds,
    );
  }
  const report = (soaked?: Soak): Report => ({
    startedAt: startedAt.toISOString().slice(0, 16).replace('T', ' '),
    minutes: (Date.now() - startedAt.getTime()) / 60_000,
    mode: options.mode,
    commit: describeCommit(),
    node: process.versions.node,
    machine,
    loadAverage: [loadAtStart, loadavg()[0] ?? 0],
    foreignCores,
    latenessMs: latenessOf(campaign),
    everythingOn: everythingOn(),
    subjects: Object.fromEntries(subjects.map(({ name, title }) => [name, title])),
    skipped,
    failures: campaign.failures,
    targets: targetsOf(rows),
    rows,
    boots,
    neighbourhoods,
    neighboursOnMemoryDisk: memoryFolder !== undefined || machine.isOnMemoryDisk,
    soak: soaked,
  });
  mkdirSync(options.out, { recursive: true });
  await finish({ campaign, driver, report });
  driver.stop();
}

interface Measured {
  readonly campaign: Campaign;
  readonly driver: LoadDriver;
  report(soaked?: Soak): Report;
}

/** What takes long or disturbs comes last, when the figures are safe. */
async function finish({ campaign, driver, report }: Measured): Promise<void> {
  const gateway = campaign.subjects.find(({ name }) => name === 'gateway');
  let soaked: Soak | undefined;
  if (gateway && options.parts.has('soak')) {
    write(report());
    progress(`soak, ${options.soakMinutes} min`);
    soaked = await soak(gateway, campaign, driver, options.soakMinutes);
  }
  if (gateway && options.parts.has('profile')) {
    progress('profile of the gateway');
    const scenarios = allScenarios().filter(({ name }) => PROFILED.includes(name));
    const profile = await profileGateway(gateway, campaign, driver, scenarios);
    writeFileSync(join(options.out, 'profile.txt'), profile);
    if (options.parts.size === 1 && options.scenarios.length === 0) {
      console.log(profile);
      return;
    }
  }
  const last = report(soaked);
  write(last);
  console.log(toMarkdown(last));
  progress(`written to ${options.out}`);
}

/** Before any load. */
async function idleRows(subjects: readonly Subject[]): Promise<Row[]> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const resident = new Map(
    subjects.filter(({ pids }) => pids.length > 0).map(({ name, pids }) => [name, residentBytes(pids)]),
  );
  return [...resident].map(([subject, bytes]) => ({
    scenario: 'idle',
    title: 'after the start, before any load',
    metric: 'residentMb',
    subject,
    value: summarise([bytes / 1024 ** 2])!,
    ratios: Object.fromEntries(
      [...resident]
        .filter(([other]) => other !== subject)
        .map(([other, theirs]) => [other, summarise([bytes / theirs])!]),
    ),
  }));
}

async function warmUp(campaign: Campaign, names: readonly string[]): Promise<void> {
  const [whole, stream] = allScenarios();
  progress('warming up');
  await campaign.warmUp(stream!, WARM_UP.stream, names);
  await campaign.warmUp(whole!, WARM_UP.whole, names);
  for (const scenario of options.scenarios) {
    if (scenario.gatewayBody === undefined || !names.includes('gateway')) continue;
    const count = scenario.load.isStream ? WARM_UP.stream : WARM_UP.whole;
    await campaign.warmUp(scenario, count / 3, ['gateway']);
  }
}

async function goRound(campaign: Campaign, foreign: ForeignWork, startOptions: StartOptions): Promise<void> {
  const most = Math.max(0, ...options.scenarios.map((scenario) => options.roundsOf(scenario)));
  for (let round = 0; round < most; round++) {
    if (options.restarts.has(round)) {
      foreign.close();
      await restart(campaign, startOptions);
      foreign.open();
    }
    for (const scenario of options.scenarios) {
      if (round >= options.roundsOf(scenario)) continue;
      progress(`round ${round + 1} of ${options.roundsOf(scenario)}: ${scenario.title}`);
      const found = await campaign.round(scenario, round, options.visited(scenario));
      console.error(`        ${found}`);
    }
  }
}

async function restart(campaign: Campaign, startOptions: StartOptions): Promise<void> {
  const names = RESTARTED.filter((name) => campaign.subjects.some((subject) => subject.name === name));
  progress(`starting ${names.join(', ')} anew`);
  for (const name of names) {
    await campaign.subjects.find((subject) => subject.name === name)!.stop();
    campaign.replace(await startSubject(name, startOptions));
  }
  await warmUp(campaign, names);
}

function latenessOf({ lateness }: Campaign): number | undefined {
  if (lateness.length === 0) return undefined;
  return quantile(
    [...lateness].sort((first, second) => first - second),
    0.75,
  );
}

function everythingOn(): string {
  const settings = Object.entries(options.gatewayEnv).map(([name, value]) => `${name}=${value}`);
  return settings.length > 0 ? `${EVERYTHING_ON}; here with ${settings.join(', ')}` : EVERYTHING_ON;
}

function write(report: Report): void {
  writeFileSync(join(options.out, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`);
  writeFileSync(join(options.out, 'report.md'), toMarkdown(report));
  writeFileSync(join(options.out, 'report.svg'), toSvg(report));
}

function progress(what: string): void {
  const seconds = Math.round((Date.now() - startedAt.getTime()) / 1000);
  console.error(`${String(seconds).padStart(4)} s  ${what}`);
}

function optionsOrExit(): Options {
  try {
    return readOptions(process.argv.slice(2));
  } catch (error) {
    if (error instanceof HelpWanted) {
      console.log(USAGE);
      process.exit(0);
    }
    return fail(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}

async function end(code: number): Promise<void> {
  await stopAll();
  for (const used of memoryFolder === undefined ? [folder] : [folder, memoryFolder]) {
    rmSync(used, { recursive: true, force: true });
  }
  process.exit(code);
}
