import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  Optional,
} from '@nestjs/common';
import type { Redis } from 'ioredis';
import { DatabaseService } from '../database/database.service.js';
import { closeRedis, REDIS } from '../redis/redis-client.js';
import { RevokedTokens } from './revoked-tokens.js';

/** A revocation is in force everywhere within this and one round trip, without Redis too. */
const POLL_MS = 1500;
/** A row is visible only when its transaction ends: every reading looks back this far. */
const OVERLAP_SECONDS = 30;
const CHANNEL = 'llm-gateway:auth:revoked';

interface RevocationRow {
  readonly kind: 'jti' | 'sub';
  readonly value: string;
  readonly revoked_at: number;
}

export interface RevocationRequest {
  readonly kind: 'jti' | 'sub';
  readonly value: string;
  readonly actor: string;
  readonly reason: string | undefined;
  /** Of a user's tokens: those are revoked, too, that seem to be issued so much later. By how much clocks may differ. */
  readonly leewaySeconds?: number | undefined;
}

/**
 * Keeps `RevokedTokens` up to date with the database. Redis only says "look now": what is revoked is read from the
 * database, so that nobody can forge it there. While the database is away, what is known stays in force.
 */
@Injectable()
export class RevocationSync implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #logger = new Logger(RevocationSync.name);
  #timer: NodeJS.Timeout | undefined;
  #subscriber: Redis | undefined;
  #readUntil = 0;
  #reading: Promise<void> | undefined;
  #lookAgain = false;
  #failing = false;

  constructor(
    private readonly database: DatabaseService,
    private readonly revoked: RevokedTokens,
    @Optional() @Inject(REDIS) private readonly redis: Redis | undefined,
  ) {}

  /** Before the first request, when the database is there; else as soon as it is. */
  async onApplicationBootstrap(): Promise<void> {
    if (this.database.ready) await this.read();
    else void this.database.whenReady().then(() => this.read());
    this.#timer = setInterval(() => void this.read(), POLL_MS);
    this.#timer.unref();
    await this.#subscribe();
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#subscriber) await closeRedis(this.#subscriber);
    await this.#reading;
  }

  /**
   * Writes a revocation down; in force here when this resolves. Revoking again moves the moment forward.
   *
   * @returns until when tokens must have been issued to be revoked
   * @throws GatewayError  `database_unavailable`: then nothing was revoked
   */
  async revoke(request: RevocationRequest): Promise<Date> {
    const [row] = await this.database.query<RevocationRow>(
      `INSERT INTO auth_revocation (kind, value, revoked_by, reason, revoked_at)
       VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second')
       ON CONFLICT (kind, value) DO UPDATE
         SET revoked_at = greatest(auth_revocation.revoked_at, excluded.revoked_at), revoked_by = $3, reason = $4
       RETURNING kind, value, extract(epoch FROM revoked_at)::float8 AS revoked_at`,
      [
        request.kind,
        request.value,
        request.actor,
        request.reason ?? null,
        // A token's id is no question of time.
        request.kind === 'jti' ? 0 : (request.leewaySeconds ?? 0),
      ],
    );
    if (!row) throw new Error('the revocation was not written');
    this.#add(row);
    this.#tellOthers();
    return new Date(row.revoked_at * 1000);
  }

  /** Reads what is new. One reading at a time; one that is asked for meanwhile follows. Never rejects. */
  read(): Promise<void> {
    if (this.#reading) {
      this.#lookAgain = true;
      return this.#reading;
    }
    this.#reading = this.#readNow().finally(() => {
      this.#reading = undefined;
      if (this.#lookAgain) {
        this.#lookAgain = false;
        void this.read();
      }
    });
    return this.#reading;
  }

  async #readNow(): Promise<void> {
    if (!this.database.isUp()) return;
    try {
      const rows = await this.database.query<RevocationRow & { now: number }>(
        `SELECT kind, value, extract(epoch FROM revoked_at)::float8 AS revoked_at, extract(epoch FROM now())::float8 AS now
         FROM (SELECT 1) AS one LEFT JOIN auth_revocation ON revoked_at > to_timestamp($1)`,
        [this.#readUntil],
      );
      for (const row of rows) if (row.kind !== null) this.#add(row);
      const now = rows[0]?.now;
      if (now !== undefined) this.#readUntil = now - OVERLAP_SECONDS;
      this.#failing = false;
    } catch (error) {
      if (!this.#failing)
        this.#logger.warn(`revocations cannot be read; the known ones stay in force: ${String(error)}`);
      this.#failing = true;
    }
  }

  #add(row: RevocationRow): void {
    this.revoked.add({ kind: row.kind, value: row.value, revokedAt: row.revoked_at });
  }

  #tellOthers(): void {
    if (this.redis?.status !== 'ready') return;
    this.redis.publish(CHANNEL, '').catch(() => undefined); // they look by themselves a moment later
  }

  async #subscribe(): Promise<void> {
    if (!this.redis) return;
    const subscriber = this.redis.duplicate({
      enableOfflineQueue: true,
      maxRetriesPerRequest: null,
      commandTimeout: undefined,
    });
    this.#subscriber = subscriber;
    subscriber.on('error', () => undefined);
    subscriber.on('message', () => void this.read());
    // Resolves when Redis is there, perhaps much later; ioredis subscribes again after each reconnect.
    subscriber.subscribe(CHANNEL).catch(() => undefined);
  }
}
