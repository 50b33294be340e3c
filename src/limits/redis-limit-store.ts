import { randomUUID } from 'node:crypto';
import { type Redis, ReplyError } from 'ioredis';
import { ACQUIRE_SLOT, CORRECT, HEARTBEAT, type LimitScript, RENEW_SLOTS, TAKE } from './limit-scripts.js';
import { type Charge, type Decision, type Slot, SLOT_LIFETIME_MS, type WindowState } from './limit-store.js';
import type { Heartbeat, RemoteLimitStore, Seed } from './remote-limit-store.js';

/** One hash tag for all keys: a script may touch the windows of a user and of everybody together, on a cluster too. */
const PREFIX = '{llm-gateway:limits}:';

/** The limits of all instances on one Redis: one script, one round trip, one instant of Redis's clock per check. */
export class RedisLimitStore implements RemoteLimitStore {
  readonly #instance = randomUUID();
  readonly #prefix: string;
  #lastHeartbeat = { alive: 0, marker: '' };

  /** @param namespace  keeps the counts of gateways apart that share a Redis database */
  constructor(
    private readonly redis: Redis,
    namespace = '',
  ) {
    this.#prefix = namespace === '' ? PREFIX : `${PREFIX}${namespace}:`;
  }

  async take(charges: readonly Charge[], seeds: readonly Seed[]): Promise<Decision> {
    const keys = charges.map((charge) => this.#windowKey(charge));
    const args: number[] = [];
    for (const [index, { rule, cost }] of charges.entries()) {
      const { floor, granted } = seeds[index]!;
      args.push(rule.limit, rule.windowMs, cost, Math.ceil(floor), Math.ceil(granted));
    }
    return readDecision(await this.#run(TAKE, keys, args));
  }

  async correct(charge: Charge, delta: number): Promise<void> {
    await this.#run(CORRECT, [this.#windowKey(charge)], [charge.rule.windowMs, delta]);
  }

  async acquireSlot(slot: Slot, limit: number): Promise<boolean> {
    const granted = await this.#run(
      ACQUIRE_SLOT,
      [this.#slotKey(slot)],
      [limit, slot.holder, SLOT_LIFETIME_MS],
    );
    return granted === 1;
  }

  async renewSlots(slots: readonly Slot[]): Promise<void> {
    if (slots.length === 0) return;
    const keys = slots.map((slot) => this.#slotKey(slot));
    await this.#run(RENEW_SLOTS, keys, [SLOT_LIFETIME_MS, ...slots.map((slot) => slot.holder)]);
  }

  async releaseSlot(slot: Slot): Promise<void> {
    await this.redis.zrem(this.#slotKey(slot), slot.holder);
  }

  async heartbeat(): Promise<Heartbeat> {
    const keys = [`${this.#prefix}instances`, `${this.#prefix}marker`];
    const last = this.#lastHeartbeat;
    const args = [this.#instance, SLOT_LIFETIME_MS, randomUUID(), last.alive, last.marker];
    const [instances, marker, alive] = readArray(await this.#run(HEARTBEAT, keys, args));
    this.#lastHeartbeat = { alive: Number(alive), marker: String(marker) };
    return { instances: Math.max(1, Number(instances)), marker: String(marker) };
  }

  onConnection(listener: (isUp: boolean) => void): void {
    this.redis.on('ready', () => listener(true));
    this.redis.on('close', () => listener(false));
  }

  reconnect(error: unknown): void {
    // It answers: the next connection would be told the same, but for a failover, which the client itself looks for.
    if (!(error instanceof ReplyError)) this.redis.disconnect(true);
  }

  #windowKey({ rule, key }: Charge): string {
    return `${this.#prefix}${rule.name}:${key}`;
  }

  #slotKey({ key }: Slot): string {
    return `${this.#prefix}slots:${key}`;
  }

  /** Scripts are sent by name; a Redis that does not know it (restarted, flushed) gets the text once. */
  async #run(script: LimitScript, keys: string[], args: (string | number)[]): Promise<unknown> {
    try {
      return await this.redis.evalsha(script.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return this.redis.eval(script.source, keys.length, ...keys, ...args);
    }
  }
}

function readDecision(reply: unknown): Decision {
  const [refused, retryAfterMs, ...numbers] = readArray(reply).map(Number);
  const windows: WindowState[] = [];
  for (let index = 0; index < numbers.length; index += 3) {
    windows.push({ used: numbers[index]!, growsInMs: numbers[index + 1]!, emptyInMs: numbers[index + 2]! });
  }
  return {
    allowed: refused === 0,
    refusedBy: refused! - 1,
    retryAfterMs: retryAfterMs!,
    windows,
    degraded: false,
  };
}

function readArray(reply: unknown): unknown[] {
  if (!Array.isArray(reply)) throw new Error('Redis answered a limit script with something else than a list');
  return reply;
}
