import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { eventually } from '../../libs/testing/eventually.ts';
import { TEST_JWT_SECRET } from '../../libs/testing/tokens.ts';
import { Administrator } from './administrator.ts';
import { type Books, countOpenHolds, readBooks, reservedSums } from './books.ts';
import { Clients, type Operation } from './clients.ts';
import { chargedKeys, compare, type Disagreements, type Tally } from './compare.ts';
import { GatewayFleet } from './gateway-fleet.ts';
import { Nemesis } from './nemesis.ts';
import { Random } from '../support/random.ts';
import { CRASH_POINTS, type Scenario } from './scenario.ts';
import { watchShortfalls } from './shortfalls.ts';
import { PostgresServer, RedisServer } from './stores.ts';

const INSTANCES = 3;
/** What is open when the faults end is tried for so long. */
const FINISH_MS = 45_000;
/** Every hold must be gone within this: a sweep is due every 5 s, forgotten holds are looked for after 30 s. */
const QUIESCE_MS = 150_000;
/** What a broken guarantee has spoilt does not get better by waiting. */
const CONTROL_PATIENCE_MS = 15_000;
const UPSTREAM = fileURLToPath(new URL('./upstream.ts', import.meta.url));
const run = promisify(execFile);

/** Findings of one run besides the disagreements: each must be empty, too. */
export interface Findings extends Disagreements {
  leakedHolds: string[];
  auditMismatches: string[];
  /** Given back because time had passed, although their processes lived or their journals were there. */
  timerReleases: string[];
  deadlocks: string[];
  unexpectedExits: string[];
  journalsLeft: string[];
  /** Reserved for somebody when all gateways have ended. */
  reservedLeft: string[];
  notLive: string[];
}

export interface RunResult {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly seconds: number;
  readonly gatewayKills: number;
  readonly crashes: Record<string, number>;
  readonly gatewayFreezes: number;
  readonly gatewayStops: number;
  readonly postgresKills: number;
  readonly postgresFreezes: number;
  readonly redisKills: number;
  readonly redisFreezes: number;
  readonly tally: Tally;
  readonly holds: Books['holds'];
  readonly charges: number;
  readonly recoverySeconds: number;
  /** Seconds: until the faults begin, with them, until nothing is open, looking. */
  readonly phases: Readonly<Record<'start' | 'faults' | 'quiet' | 'check', number>>;
  readonly findings: Findings;
}

/** One scenario from an empty database to the comparison of the books. */
export class Rig {
  readonly #scenario: Scenario;
  readonly #seed: number;
  readonly #program: string;
  readonly #directory: string;
  readonly #random: Random;
  #upstream: ChildProcess | undefined;
  #postgres: PostgresServer | undefined;
  #redis: RedisServer | undefined;
  #fleet: GatewayFleet | undefined;
  #clients: Clients | undefined;
  #administrator: Administrator | undefined;

  constructor(scenario: Scenario, seed: number, program: string, directory: string) {
    this.#scenario = scenario;
    this.#seed = seed;
    this.#program = program;
    this.#directory = directory;
    this.#random = new Random(seed);
  }

  async run(): Promise<RunResult> {
    const startedMs = Date.now();
    await mkdir(this.#directory, { recursive: true });
    const postgres = (this.#postgres = await PostgresServer.start(join(this.#directory, 'store')));
    const redis = (this.#redis = await RedisServer.start(this.#directory));
    const env = await this.#environment(postgres, redis, await this.#startUpstream());
    const fleet = (this.#fleet = await GatewayFleet.start({
      runDirectory: this.#directory,
      program: this.#program,
      instances: INSTANCES,
      env,
      random: this.#random.fork(),
      crashPointShare: this.#scenario.crashPointShare,
      crashPassages: this.#scenario.crashPassages,
      crashPoints: this.#scenario.crashPoints ?? CRASH_POINTS,
    }));
    await watchShortfalls(postgres);
    const clients = (this.#clients = new Clients(this.#scenario, this.#random.fork(), fleet.ports));
    const administrator = (this.#administrator = new Administrator(this.#random.fork(), fleet.ports));
    await administrator.fund(clients.ampleUsers);

    const nemesis = new Nemesis(
      { fleet, postgres, redis, answers: () => clients.answers },
      this.#random.fork(),
      this.#scenario,
    );
    const faultsMs = Date.now();
    clients.start();
    administrator.start(clients.ampleUsers, clients.operations);
    nemesis.start();
    await sleep(this.#scenario.seconds * 1000);
    await nemesis.stop();

    const healedMs = Date.now();
    fleet.heal();
    await postgres.ready();
    await redis.ready();
    const notLive: string[] = [];
    await fleet.disarm().catch((error: unknown) => notLive.push(String(error)));
    const recoverySeconds = (Date.now() - healedMs) / 1000;
    const patienceMs = this.#patience(FINISH_MS);
    await Promise.all([clients.finish(patienceMs), administrator.finish(patienceMs)]);
    notLive.push(...(await this.#probe(clients, fleet)));
    const leakedHolds = await this.#quiesce(postgres);

    const quietMs = Date.now();
    await this.#askAgain(clients, await readBooks(postgres));
    const auditMismatches = [
      ...(await this.#auditOverHttp(administrator, fleet)),
      ...(await this.#auditByCommand(env)),
    ];
    const books = await readBooks(postgres);
    await writeFile(join(this.#directory, 'history.jsonl'), clients.operations.map(toLine).join(''));
    await writeFile(join(this.#directory, 'shortfalls.jsonl'), books.shortfalls.map(toLine).join(''));
    await fleet.stop();
    const { disagreements, tally } = compare(clients.operations, administrator.orders, books);
    const reservedLeft = await reservedSums(postgres);
    const deadlocks = await postgres.deadlocks();
    return {
      scenario: this.#scenario,
      seed: this.#seed,
      seconds: Math.round((Date.now() - startedMs) / 1000),
      gatewayKills: fleet.count('kills'),
      crashes: fleet.crashes(),
      gatewayFreezes: fleet.count('freezes'),
      gatewayStops: fleet.count('stops'),
      postgresKills: postgres.kills,
      postgresFreezes: postgres.freezes,
      redisKills: redis.kills,
      redisFreezes: redis.freezes,
      tally,
      holds: books.holds,
      charges: books.charges.length,
      recoverySeconds,
      phases: {
        start: secondsBetween(startedMs, faultsMs),
        faults: secondsBetween(faultsMs, healedMs),
        quiet: secondsBetween(healedMs, quietMs),
        check: secondsBetween(quietMs, Date.now()),
      },
      findings: {
        ...disagreements,
        leakedHolds,
        auditMismatches,
        timerReleases: books.holds.expired > 0 ? [`${books.holds.expired} holds`] : [],
        deadlocks: deadlocks > 0 ? [`${deadlocks} deadlocks`] : [],
        unexpectedExits: fleet.unexpectedExits(),
        journalsLeft: await this.#journalsLeft(fleet),
        reservedLeft,
        notLive,
      },
    };
  }

  /** Ends everything that was started, whatever state it is in. */
  async cleanUp(): Promise<void> {
    this.#clients?.abandon();
    this.#administrator?.abandon();
    this.#fleet?.killForGood();
    this.#upstream?.stdin?.end();
    this.#upstream?.kill('SIGKILL');
    await this.#redis?.stop().catch(() => undefined);
    await this.#postgres?.stop().catch(() => undefined);
  }

  #patience(usualMs: number): number {
    return this.#scenario.broken === undefined ? usualMs : CONTROL_PATIENCE_MS;
  }

  async #startUpstream(): Promise<number> {
    const parameters = [
      UPSTREAM,
      String(this.#random.between(1, 1e9)),
      JSON.stringify(this.#scenario.upstream),
    ];
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...parameters], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#upstream = child;
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    return (JSON.parse(line) as { port: number }).port;
  }

  async #environment(
    postgres: PostgresServer,
    redis: RedisServer,
    upstreamPort: number,
  ): Promise<Record<string, string>> {
    const file = join(this.#directory, 'gateway.yaml');
    await writeFile(file, gatewayFile(upstreamPort));
    return {
      PATH: process.env['PATH'] ?? '',
      GATEWAY_CONFIG: file,
      DATABASE_URL: postgres.url,
      DATABASE_POOL_SIZE: '8',
      REDIS_URL: redis.url,
      RATE_LIMIT_STORAGE: 'redis',
      RATE_LIMIT_REQUESTS_PER_MINUTE: '100000000',
      RATE_LIMIT_REQUESTS_PER_HOUR: '1000000000',
      BILLING_DEFAULT_BALANCE: this.#scenario.grant,
      BILLING_OUTAGE_CREDIT: this.#scenario.outageCredit,
      CIRCUIT_BREAKER_FAILURE_THRESHOLD: '50',
      CIRCUIT_BREAKER_RECOVERY_TIMEOUT: '1',
      RETRY_BASE_DELAY: '0.02',
      RETRY_MAX_DELAY: '0.1',
      STREAM_IDLE_TIMEOUT_SECONDS: '4',
      REQUEST_TIMEOUT_SECONDS: '15',
      SHUTDOWN_GRACE_SECONDS: '5',
      LOG_LEVEL: 'warn',
      ...(this.#scenario.broken === undefined ? {} : { GATEWAY_BREAK: this.#scenario.broken }),
    };
  }

  async #askAgain(clients: Clients, books: Books): Promise<void> {
    const charged = chargedKeys(clients.operations, books);
    const isAnswered = (operation: Operation): boolean => operation.calls.some((call) => call.complete);
    const answered = charged.filter(isAnswered);
    const sample = answered.filter(() => this.#random.chance(this.#scenario.sample / answered.length));
    await clients.askAgain([...charged.filter((operation) => !isAnswered(operation)), ...sample]);
  }

  /** Once healed, every instance must serve. */
  async #probe(clients: Clients, fleet: GatewayFleet): Promise<string[]> {
    const failures: string[] = [];
    for (const port of fleet.ports) {
      await eventually(
        `an answer of ${port}`,
        async () => (await clients.probe(port)).complete,
        30_000,
        300,
      ).catch((error: unknown) => failures.push(String(error)));
    }
    return failures;
  }

  async #quiesce(postgres: PostgresServer): Promise<string[]> {
    const isQuiet = async (): Promise<boolean> => (await countOpenHolds(postgres)) === 0;
    try {
      await eventually('no open hold', isQuiet, this.#patience(QUIESCE_MS), 500);
      return [];
    } catch {
      const rows = await postgres.query<{ text: string }>(
        `SELECT format('%s of %s, %s nano, since %s, instance %s, replayed %s', h.id, h.user_id, h.amount_nano, h.created_at,
                       h.instance_id, g.replayed_at) AS text
           FROM hold h LEFT JOIN gateway_instance g ON g.id = h.instance_id WHERE h.state = 'open'`,
      );
      return rows.map((row) => row.text);
    }
  }

  async #auditOverHttp(administrator: Administrator, fleet: GatewayFleet): Promise<string[]> {
    const response = await administrator.call(fleet.ports[0] ?? 0, '/admin/ledger/audit');
    const audit = (await response.json()) as { ok?: boolean; mismatches?: unknown[] };
    if (audit.ok === true) return [];
    return (audit.mismatches ?? [audit]).map((mismatch) => `route: ${JSON.stringify(mismatch)}`);
  }

  async #auditByCommand(env: Readonly<Record<string, string>>): Promise<string[]> {
    const command = [join(this.#program, 'src/cli.js'), 'audit:ledger'];
    const settings = {
      ...env,
      ENVIRONMENT: 'test',
      JWT_SECRET_KEY: TEST_JWT_SECRET,
      DATA_DIR: this.#directory,
    };
    try {
      await run(process.execPath, command, { env: settings, cwd: this.#directory });
      return [];
    } catch (error) {
      const { stderr, stdout } = error as { stderr?: string; stdout?: string };
      return [`command: ${stderr ?? ''}${stdout ?? String(error)}`.slice(0, 2000)];
    }
  }

  /** After an orderly end of everybody nothing may be left to replay. */
  async #journalsLeft(fleet: GatewayFleet): Promise<string[]> {
    const folders = fleet.gateways.map((gateway) => join(gateway.dataDir, 'journal'));
    const names = await Promise.all(
      folders.map(async (folder) =>
        (await readdir(folder).catch(() => [])).map((name) => join(folder, name)),
      ),
    );
    return names.flat();
  }
}

function secondsBetween(startMs: number, endMs: number): number {
  return Math.round((endMs - startMs) / 100) / 10;
}

function toLine(row: object): string {
  return `${JSON.stringify(row)}\n`;
}

/** Two models of one provider at different prices, the second behind the first. Prices: see compare.ts. */
function gatewayFile(upstreamPort: number): string {
  return `providers:
  fake:
    type: openai-compatible
    base_url: http://127.0.0.1:${upstreamPort}/v1
    headers: { x-rig: chaos, api-key: chaos }
models:
  chaos:
    targets: [{ provider: fake, model: chaos-a }]
    price: { input_per_million: "1.00", output_per_million: "2.00" }
    context_window: 8192
    max_output_tokens: 256
    fallbacks: [chaos-b]
  chaos-b:
    targets: [{ provider: fake, model: chaos-b }]
    price: { input_per_million: "1.50", output_per_million: "3.00" }
    context_window: 8192
    max_output_tokens: 256
`;
}
