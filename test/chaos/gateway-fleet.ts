import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../libs/testing/eventually.ts';
import { freePort } from '../../src/database/embedded/free-port.ts';
import { noteProcess } from '../../libs/testing/run-directory.ts';
import { TEST_JWT_SECRET } from '../../libs/testing/tokens.ts';
import type { Random } from '../support/random.ts';

const READY_MS = 180_000;
/** Of the log of a gateway that fell over. */
const TOLD_CHARACTERS = 600;
/** Those that only a boot passes, once for each journal. */
const AT_BOOT: readonly string[] = ['before-replay-declared', 'after-replay-declared'];

export interface FleetOptions {
  readonly runDirectory: string;
  /** Folder of the built program: `dist`. */
  readonly program: string;
  readonly instances: number;
  readonly env: Readonly<Record<string, string>>;
  readonly random: Random;
  readonly crashPointShare: number;
  readonly crashPassages: number;
  readonly crashPoints: readonly string[];
}

/** The gateways: real processes, each with a folder that survives it, started again whenever they end. */
export class GatewayFleet {
  readonly gateways: readonly GatewayProcess[];
  readonly #options: FleetOptions;

  private constructor(options: FleetOptions, gateways: readonly GatewayProcess[]) {
    this.#options = options;
    this.gateways = gateways;
  }

  static async start(options: FleetOptions): Promise<GatewayFleet> {
    const gateways: GatewayProcess[] = [];
    for (let index = 0; index < options.instances; index += 1) {
      const dataDir = join(options.runDirectory, `gateway-${index}`);
      await mkdir(dataDir, { recursive: true });
      gateways.push(new GatewayProcess(await freePort(), dataDir, options));
    }
    const fleet = new GatewayFleet(options, gateways);
    await fleet.#warmUp();
    for (const gateway of gateways) gateway.start();
    await fleet.ready();
    return fleet;
  }

  /** Only an orderly end writes the compile cache, which makes every later start several times as fast. */
  async #warmUp(): Promise<void> {
    const [first] = this.gateways;
    if (!first) return;
    first.start();
    await eventually('the first gateway is ready', () => first.isReady(), READY_MS, 100).catch((error) => {
      throw new Error(`the first gateway does not start: ${first.lastWords()}`, { cause: error });
    });
    first.restart();
    // Not "is not running": it may run again before anybody looks.
    await eventually('the first gateway ends', () => first.ends > 0, READY_MS);
    first.stops = 0;
  }

  get ports(): readonly number[] {
    return this.gateways.map((gateway) => gateway.port);
  }

  /** Resolves when every instance serves. */
  async ready(): Promise<void> {
    for (const gateway of this.gateways) {
      await eventually(`gateway ${gateway.port} is ready`, () => gateway.isReady(), READY_MS, 100);
    }
  }

  /** No more crash points, nobody frozen. */
  heal(): void {
    for (const gateway of this.gateways) {
      gateway.mayCrash = false;
      gateway.thaw();
    }
  }

  /** One that serves, so that it has something to lose. `undefined`: none does. */
  pickServing(random: Random): GatewayProcess | undefined {
    const serving = this.gateways.filter((gateway) => gateway.isServing);
    return serving.length > 0 ? random.pick(serving) : undefined;
  }

  get areAllServing(): boolean {
    return this.gateways.every((gateway) => gateway.isServing);
  }

  /** Instances that were told to die somewhere and have not yet: started afresh, so that nobody dies later. */
  async disarm(): Promise<void> {
    for (const gateway of this.gateways) if (gateway.isArmed) gateway.kill();
    await this.ready();
  }

  async stop(): Promise<void> {
    await Promise.all(this.gateways.map((gateway) => gateway.stop()));
  }

  killForGood(): void {
    for (const gateway of this.gateways) gateway.killForGood();
  }

  count(what: 'kills' | 'freezes' | 'stops'): number {
    return this.gateways.reduce((sum, gateway) => sum + gateway[what], 0);
  }

  /** Deaths at crash points, by name. */
  crashes(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const { crashes } of this.gateways) {
      for (const [name, count] of Object.entries(crashes)) sums[name] = (sums[name] ?? 0) + count;
    }
    return sums;
  }

  /** Ends that nobody asked for: the program fell over. */
  unexpectedExits(): string[] {
    return this.gateways.flatMap((gateway) => gateway.unexpectedExits);
  }

  get instances(): number {
    return this.#options.instances;
  }
}

export class GatewayProcess {
  kills = 0;
  freezes = 0;
  stops = 0;
  /** Of its processes, however they came about. */
  ends = 0;
  mayCrash = true;
  readonly crashes: Record<string, number> = {};
  readonly unexpectedExits: string[] = [];
  readonly port: number;
  readonly dataDir: string;
  readonly #options: FleetOptions;
  #child: ChildProcess | undefined;
  #armed: string | undefined;
  #isFrozen = false;
  #isServing = false;
  #isWanted = true;
  #expected: 'kill' | 'stop' | undefined;
  #starts = 0;

  constructor(port: number, dataDir: string, options: FleetOptions) {
    this.port = port;
    this.dataDir = dataDir;
    this.#options = options;
  }

  /** The end of its log. */
  lastWords(): string {
    return readFileSync(this.#log, 'utf8').trimEnd().slice(-TOLD_CHARACTERS);
  }

  get #log(): string {
    return `${this.dataDir}.log`;
  }

  get isArmed(): boolean {
    return this.#armed !== undefined;
  }

  /** It was ready since its start, and nobody has stopped it since. */
  get isServing(): boolean {
    return this.#isServing && !this.#isFrozen && this.#expected === undefined;
  }

  start(): void {
    if (this.#child) return;
    const { program, env, runDirectory } = this.#options;
    this.#armed = this.#drawCrashPoint();
    this.#expected = undefined;
    this.#starts += 1;
    const log = openSync(this.#log, 'a');
    const child = spawn(process.execPath, [join(program, 'src/main.js')], {
      cwd: this.dataDir,
      stdio: ['ignore', log, log],
      env: {
        ...env,
        ENVIRONMENT: 'test',
        HOST: '127.0.0.1',
        PORT: String(this.port),
        DATA_DIR: this.dataDir,
        JWT_SECRET_KEY: TEST_JWT_SECRET,
        NODE_COMPILE_CACHE: join(runDirectory, 'compile-cache'),
        ...(this.#armed === undefined ? {} : { GATEWAY_CRASH_AT: this.#armed }),
      },
    });
    closeSync(log);
    this.#child = child;
    void noteProcess(runDirectory, child).catch(() => undefined);
    child.on('exit', (code, signal) => this.#ended(code, signal));
    void this.#watch(child);
  }

  async #watch(child: ChildProcess): Promise<void> {
    const isReady = (): Promise<boolean> | 'ended' => (this.#child === child ? this.isReady() : 'ended');
    await eventually('it is ready', async () => isReady(), READY_MS, 250).catch(() => undefined);
    if (this.#child === child) this.#isServing = true;
  }

  async isReady(): Promise<boolean> {
    if (!this.#child) return false;
    const response = await fetch(`http://127.0.0.1:${this.port}/ready`, {
      signal: AbortSignal.timeout(2_000),
    });
    await response.body?.cancel();
    return response.ok;
  }

  /** As by the kernel. It starts again by itself. */
  kill(): void {
    if (!this.#child || this.#expected) return;
    this.#expected = 'kill';
    this.#isFrozen = false;
    this.#child.kill('SIGKILL');
  }

  /** An orderly end, and a new start. */
  restart(): void {
    if (!this.#child || this.#expected || this.#isFrozen) return;
    this.#expected = 'stop';
    this.stops += 1;
    this.#child.kill('SIGTERM');
  }

  freeze(): void {
    if (!this.#child || this.#isFrozen || this.#expected) return;
    this.#isFrozen = true;
    this.freezes += 1;
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    if (!this.#child || !this.#isFrozen) return;
    this.#isFrozen = false;
    this.#child.kill('SIGCONT');
  }

  /** An orderly end for good. */
  async stop(): Promise<void> {
    this.#isWanted = false;
    const child = this.#child;
    if (!child) return;
    this.#expected ??= 'stop';
    child.kill('SIGTERM');
    await eventually('the gateway ends', () => this.#child === undefined, 40_000).catch(() =>
      child.kill('SIGKILL'),
    );
  }

  killForGood(): void {
    this.#isWanted = false;
    this.#expected ??= 'kill';
    this.#child?.kill('SIGKILL');
  }

  #drawCrashPoint(): string | undefined {
    const { random, crashPointShare, crashPassages, crashPoints } = this.#options;
    if (!this.mayCrash || this.#starts === 0 || !random.chance(crashPointShare)) return undefined;
    const name = random.pick(crashPoints);
    return `${name}:${AT_BOOT.includes(name) ? 1 : random.between(1, crashPassages)}`;
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    this.#child = undefined;
    this.ends += 1;
    this.#isFrozen = false;
    this.#isServing = false;
    const armed = this.#armed?.split(':')[0];
    if (signal === 'SIGKILL' && this.#expected === 'kill') this.kills += 1;
    else if (signal === 'SIGKILL' && armed !== undefined)
      this.crashes[armed] = (this.crashes[armed] ?? 0) + 1;
    else if (this.#expected !== 'stop')
      this.unexpectedExits.push(
        `port ${this.port}: code ${code}, signal ${signal}, armed ${armed}: ${this.lastWords()}`,
      );
    if (!this.#isWanted) return;
    setTimeout(() => this.#isWanted && !this.#child && this.start(), this.#options.random.between(0, 600));
  }
}
