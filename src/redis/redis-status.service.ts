import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationShutdown,
  type OnModuleInit,
  Optional,
} from '@nestjs/common';
import type { Redis } from 'ioredis';
import { REDIS } from './redis-client.js';

/** A connection that is there by then was not lost: a busy start, a failover, a restart of Redis. */
const LOSS_MS = 1_000;
/** More than a loss has; texts that never repeat (a port in each) end there. */
const MAX_REASONS = 10;

export interface RedisHealth {
  /** `off` = not configured. */
  readonly state: 'off' | 'up' | 'down';
  readonly latencyMs: number | undefined;
  /** Since when, as far as this process knows. */
  readonly since: Date;
  readonly lastError: string | undefined;
}

/** What health pages ask about Redis. Logs each going and coming once, and each reason once, not every failed reconnect. */
@Injectable()
export class RedisStatus implements OnModuleInit, OnApplicationShutdown {
  readonly #logger = new Logger('Redis');
  #since = new Date();
  /** The connection stands, and Redis does not answer: since the first question of those. */
  #silentSince: Date | undefined;
  #isUp = false;
  /** As the log was told. */
  #isLost = false;
  /** Reasons that the log was told of this loss. */
  readonly #told = new Set<string>();
  #loss: NodeJS.Timeout | undefined;
  #isClosing = false;
  #lastError: string | undefined;

  constructor(@Optional() @Inject(REDIS) private readonly redis: Redis | undefined) {}

  onModuleInit(): void {
    if (!this.redis) return;
    this.#isUp = this.redis.status === 'ready';
    if (!this.#isUp) this.#loss = setTimeout(() => this.#tellLoss('not reachable'), LOSS_MS).unref();
    this.redis.on('error', (error: Error) => this.#failed(errorText(error)));
    this.redis.on('ready', () => this.#turn(true));
    this.redis.on('close', () => this.#turn(false));
  }

  /** From here on it is we who hang up. */
  onApplicationShutdown(): void {
    this.#isClosing = true;
    clearTimeout(this.#loss);
  }

  /** Asks Redis now. Never throws, and ends within the command timeout. */
  async check(): Promise<RedisHealth> {
    if (!this.redis) return { state: 'off', latencyMs: undefined, since: this.#since, lastError: undefined };
    const startedMs = performance.now();
    try {
      await this.redis.ping();
      this.#silentSince = undefined;
      this.#lastError = undefined;
      return {
        state: 'up',
        latencyMs: performance.now() - startedMs,
        since: this.#since,
        lastError: undefined,
      };
    } catch (error) {
      this.#lastError ??= errorText(error);
      if (this.#isUp) this.#silentSince ??= new Date();
      const since = this.#silentSince ?? this.#since;
      return { state: 'down', latencyMs: undefined, since, lastError: this.#lastError };
    }
  }

  #turn(isUp: boolean): void {
    if (isUp === this.#isUp || this.#isClosing) return;
    this.#isUp = isUp;
    this.#silentSince = undefined;
    this.#since = new Date();
    clearTimeout(this.#loss);
    if (isUp) {
      this.#lastError = undefined;
      if (this.#isLost) this.#logger.log('connected');
      this.#isLost = false;
      this.#told.clear();
    } else this.#loss = setTimeout(() => this.#tellLoss('connection lost'), LOSS_MS).unref();
  }

  #tellLoss(what: string): void {
    this.#isLost = true;
    if (this.#lastError) this.#told.add(this.#lastError);
    const why = this.#lastError ? ` (${this.#lastError})` : '';
    this.#logger.warn(`${what}${why}; limits and cache work from memory`);
  }

  #failed(text: string): void {
    this.#lastError = text;
    if (!this.#isLost || this.#told.has(text) || this.#told.size >= MAX_REASONS) return;
    this.#told.add(text);
    this.#logger.warn(`still unavailable: ${text}`);
  }
}

/** An aggregate (`localhost` tried as IPv6 and IPv4) has no message of its own. */
function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || ('code' in error ? String(error.code) : error.name);
}
