import { setTimeout as sleep } from 'node:timers/promises';
import type { GatewayFleet, GatewayProcess } from './gateway-fleet.ts';
import type { Random } from '../support/random.ts';
import type { NemesisAction, Scenario } from './scenario.ts';
import type { PostgresServer, RedisServer } from './stores.ts';

/** How long it waits for something worth breaking. */
const PATIENCE_MS = 30_000;

export interface Prey {
  readonly fleet: GatewayFleet;
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  /** Good ends that clients have seen so far. */
  readonly answers: () => number;
}

/** Breaks things, one after the other and sometimes several at once, until it is told to stop. */
export class Nemesis {
  readonly #prey: Prey;
  readonly #random: Random;
  readonly #scenario: Scenario;
  readonly #lasting = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(prey: Prey, random: Random, scenario: Scenario) {
    this.#prey = prey;
    this.#random = random;
    this.#scenario = scenario;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Resolves when nothing is frozen or dead by its doing any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await Promise.all(this.#lasting);
  }

  async #run(): Promise<void> {
    if (Object.keys(this.#scenario.nemesis).length === 0) return;
    while (!this.#stop.signal.aborted) {
      await this.#waitForTraffic();
      if (this.#stop.signal.aborted) return;
      await this.#strike(this.#random.weighted(this.#scenario.nemesis));
    }
  }

  async #waitForTraffic(): Promise<void> {
    const { pauseMs, answersBetween } = this.#scenario;
    if (!answersBetween) return this.#pause(...pauseMs);
    const [shortest, longest] = pauseMs;
    const goal = this.#prey.answers() + this.#random.between(...answersBetween);
    await this.#pause(shortest, shortest);
    await this.#waitUntil(() => this.#prey.answers() >= goal, longest);
  }

  async #strike(action: NemesisAction): Promise<void> {
    const { fleet, postgres, redis } = this.#prey;
    const gateway = await this.#victim();
    if (!gateway) return undefined;
    switch (action) {
      case 'kill-gateway':
        return gateway.kill();
      case 'kill-all-gateways':
        await this.#waitUntil(() => fleet.areAllServing);
        return fleet.gateways.forEach((each) => each.kill());
      case 'stop-gateway':
        return gateway.restart();
      case 'freeze-gateway':
        gateway.freeze();
        return this.#later(500, 7000, () => gateway.thaw());
      case 'kill-postgres':
        return postgres.kill();
      case 'freeze-postgres':
        await postgres.freeze();
        await this.#pause(300, 6000);
        return postgres.thaw();
      case 'kill-redis':
        redis.kill();
        return this.#later(500, 4000, () => redis.ready());
      case 'freeze-redis':
        redis.freeze();
        return this.#later(500, 4000, () => redis.thaw());
      case 'freeze-postgres-kill-gateways':
        return this.#freezeAndKill();
      default:
        return action satisfies never;
    }
  }

  async #freezeAndKill(): Promise<void> {
    const { fleet, postgres } = this.#prey;
    await this.#waitUntil(() => fleet.areAllServing);
    await postgres.freeze();
    await this.#pause(100, 4500);
    for (const gateway of fleet.gateways) gateway.kill();
    await this.#pause(50, 800);
    postgres.thaw();
  }

  /** Mostly one that serves; a start is a good moment to die, too. */
  async #victim(): Promise<GatewayProcess | undefined> {
    const { fleet } = this.#prey;
    if (this.#random.chance(0.07)) return this.#random.pick(fleet.gateways);
    await this.#waitUntil(() => fleet.gateways.some((gateway) => gateway.isServing));
    return fleet.pickServing(this.#random);
  }

  async #waitUntil(isSo: () => boolean, patienceMs = PATIENCE_MS): Promise<void> {
    const deadlineMs = Date.now() + patienceMs;
    while (!isSo() && !this.#stop.signal.aborted && Date.now() < deadlineMs) await this.#pause(100, 200);
  }

  /** Meanwhile other things may break. */
  #later(low: number, high: number, heal: () => void | Promise<void>): void {
    const healing = this.#pause(low, high)
      .then(heal)
      .catch(() => undefined)
      .finally(() => this.#lasting.delete(healing));
    this.#lasting.add(healing);
  }

  async #pause(low: number, high: number): Promise<void> {
    const { signal } = this.#stop;
    await sleep(this.#random.between(low, high), undefined, { signal }).catch(() => undefined);
  }
}
