import { Inject, Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { QueryResultRow } from 'pg';
import { DataSource } from 'typeorm';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { ConfigurationError } from '../config/configuration-error.js';
import {
  databaseUnavailable,
  DatabaseRefusesError,
  isConnectionError,
  toGatewayError,
} from './connection-error.js';
import { migrationOptions, MIGRATIONS_TABLE, type DataSourceSettings } from './data-source-options.js';
import { PreparedStatements } from './prepared-statements.js';
import { describeTarget } from './connection-target.js';
import { DATABASE_ENDPOINT, type DatabaseEndpoint } from './database-endpoint.js';
import { DatabaseHealth, type DatabaseTurn } from './database-health.js';
import { errorChain } from '../telemetry/describe-error.js';
import { outageReason } from './outage-reason.js';
import { poolOf } from './pool-of.js';
import { readPatiently } from './read-patiently.js';
import { applyMigrations, initialiseDataSource, listPendingMigrations } from './migrations.js';

const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 5_000;
/** While the database is down somebody has to notice that it is back, also without traffic. */
const PROBE_INTERVAL_MS = 1_000;
/** Locks no row and writes nothing; a database that takes no writes refuses it. */
const WRITABLE = 'SELECT 1 FROM account LIMIT 0 FOR UPDATE';
/** Null where there is no such table. */
const MIGRATIONS_READABLE = `SELECT has_table_privilege(to_regclass('${MIGRATIONS_TABLE}'), 'SELECT') AS "isReadable"`;
/** What a report may take. */
const LONG_READ_MS = 60_000;

export interface DatabaseStatus {
  readonly ready: boolean;
  readonly up: boolean;
  /** Of the monotonic clock: when a statement, anybody's, was last answered. */
  readonly lastAnswerMs: number;
  readonly embedded: boolean;
  /** Message of the latest failure while it is down; never holds the connection string. */
  readonly lastError: string | undefined;
  /** The reason in words that anybody may see, if there are some. */
  readonly reason: string | undefined;
  /** It is reachable, but migrations are pending and `DATABASE_MIGRATE=false`. */
  readonly lacksMigrations: boolean;
  readonly pool: { readonly total: number; readonly idle: number; readonly waiting: number };
}

/**
 * The gateway's way to its database. It may be away at boot and at any time later: the process comes up all the same,
 * keeps trying in the background, and says meanwhile that it isn't ready.
 */
@Injectable()
export class DatabaseService implements OnModuleInit, OnApplicationShutdown {
  readonly #logger = new Logger('Database');
  readonly #whenReady: Promise<void>;
  #announceReady: () => void = () => undefined;
  readonly #prepared: PreparedStatements;
  #ready = false;
  #lacksMigrations = false;
  /** The trouble that was logged last of a database that answers, though not as it should. */
  #toldTrouble: string | undefined;
  #closing = false;
  #retry: NodeJS.Timeout | undefined;
  #probe: NodeJS.Timeout | undefined;

  constructor(
    private readonly dataSource: DataSource,
    private readonly health: DatabaseHealth,
    @Inject(DATABASE_ENDPOINT) private readonly endpoint: DatabaseEndpoint,
    @Inject(APP_CONFIG) private readonly config: Pick<AppConfig, 'database'>,
  ) {
    this.#whenReady = new Promise((resolve) => {
      this.#announceReady = resolve;
    });
    health.onTurn = (turn) => this.#tell(turn);
    this.#prepared = new PreparedStatements({
      ...this.#settings(),
      poolSize: shareConnections(config.database.poolSize).prepared,
      preparedStatements: config.database.preparedStatements,
      onIdleError: (error) => this.#logger.warn(`a database connection was lost: ${error.message}`),
    });
  }

  /** Connected once, and migrated by us or somebody else. Stays true when the database goes away later. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Ready, and reachable as far as the latest attempts tell. Costs nothing; asks nobody. */
  isUp(): boolean {
    return this.#ready && this.health.isUp;
  }

  /** Resolves when `ready` becomes true, never rejects. For work that must wait for the tables. */
  whenReady(): Promise<void> {
    return this.#whenReady;
  }

  /**
   * One statement on a pooled connection, with TypeORM left out (it doubles the cost of a statement).
   *
   * `int8` comes as text: money is `BigInt(text)`.
   *
   * @throws GatewayError  `database_unavailable` when the database can't be asked or doesn't answer; the statement may
   *                       have been carried out all the same
   * @throws DatabaseError of node-postgres, with `code` = SQLSTATE, for what the database answered
   */
  async query<Row extends QueryResultRow>(sql: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    try {
      const client = await poolOf(this.dataSource).connect();
      try {
        const { rows } = await client.query<Row>(sql, [...parameters]);
        return rows;
      } finally {
        client.release();
      }
    } catch (error) {
      throw this.toGatewayError(error);
    }
  }

  /** A connection error, and whatever is refused before the tables are those of this version, is `database_unavailable`. */
  toGatewayError(error: unknown): unknown {
    return this.#ready ? toGatewayError(error) : databaseUnavailable(error);
  }

  /**
   * For statements whose text never changes: see `PreparedStatements`. Refused until all migrations are applied: what was
   * settled on credit waits until then, where a missing table would refuse it for good.
   */
  readonly prepared = {
    query: async <Row extends QueryResultRow>(
      sql: string,
      parameters?: readonly unknown[],
    ): Promise<Row[]> => {
      if (!this.#ready) throw databaseUnavailable();
      return this.#prepared.query<Row>(sql, parameters);
    },
  };

  /** For reports, which may take up to `LONG_READ_MS`. */
  readonly patient = {
    query: async <Row extends QueryResultRow>(
      sql: string,
      parameters?: readonly unknown[],
    ): Promise<Row[]> => {
      try {
        return await readPatiently(this.dataSource, 'report', LONG_READ_MS, (read) =>
          read<Row>(sql, parameters),
        );
      } catch (error) {
        throw this.toGatewayError(error);
      }
    },
  };

  /** Checks that it takes writes: a standby after a failover answers every read. @returns milliseconds of one round trip */
  async ping(): Promise<number> {
    const startMs = performance.now();
    try {
      await this.query(WRITABLE);
    } catch (error) {
      this.#noteTrouble(error);
      throw error;
    }
    this.#noteTrouble(undefined);
    return performance.now() - startMs;
  }

  /** Names of the migrations that are not applied. */
  pendingMigrations(): Promise<string[]> {
    return listPendingMigrations(this.dataSource);
  }

  /** Applies them. @returns their names */
  runMigrations(): Promise<string[]> {
    return applyMigrations(migrationOptions(this.#settings()), (line) => this.#logger.log(line));
  }

  status(): DatabaseStatus {
    const pool = this.dataSource.isInitialized ? poolOf(this.dataSource) : undefined;
    const { total, idle, waiting } = this.#prepared.counts;
    return {
      ready: this.#ready,
      up: this.isUp(),
      lastAnswerMs: this.health.lastAnswerMs,
      embedded: this.endpoint.embedded,
      lastError: this.health.lastError?.message,
      reason: outageReason(this.health.lastError),
      lacksMigrations: this.#lacksMigrations,
      pool: {
        total: total + (pool?.totalCount ?? 0),
        idle: idle + (pool?.idleCount ?? 0),
        waiting: waiting + (pool?.waitingCount ?? 0),
      },
    };
  }

  /** Connects and migrates. A database that is away doesn't stop the boot; a migration that fails does. */
  async onModuleInit(): Promise<void> {
    this.#probe = setInterval(() => void this.#probeWhileDown(), PROBE_INTERVAL_MS).unref();
    try {
      await this.#becomeReady();
    } catch (error) {
      if (error instanceof DatabaseRefusesError) {
        const target = describeTarget(this.endpoint.url);
        const fault = `DATABASE_URL: the database ${target} refuses the connection: ${error.message}`;
        throw new ConfigurationError([fault]);
      }
      if (!isAway(error) && !(error instanceof PendingMigrationsError)) throw error;
      if (isAway(error))
        this.#logger.warn(
          `${describeTarget(this.endpoint.url)} is not reachable yet (${messageOf(error)}); still trying`,
        );
      this.#tryLater(FIRST_RETRY_MS);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#retry);
    clearInterval(this.#probe);
    await this.#prepared.end();
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
    await this.endpoint.release();
  }

  async #becomeReady(): Promise<void> {
    if (!this.dataSource.isInitialized) await initialiseDataSource(this.dataSource);
    if (this.config.database.migrateOnBoot) {
      const applied = await this.runMigrations();
      if (applied.length > 0) this.#logger.log(`applied ${applied.length} migrations: ${applied.join(', ')}`);
    } else await this.#requireMigrations();
    this.#ready = true;
    this.#announceReady();
  }

  /** @throws PendingMigrationsError  tells the log the first time */
  async #requireMigrations(): Promise<void> {
    const pending = await this.#knownToBePending();
    const isNews = pending.length > 0 && !this.#lacksMigrations;
    this.#lacksMigrations = pending.length > 0;
    if (isNews)
      this.#logger.error(
        `${describeTarget(this.endpoint.url)} lacks ${pending.length} migrations (${pending.join(', ')}), and DATABASE_MIGRATE is ` +
          'false: not used until `migration:run` has applied them',
      );
    if (pending.length > 0) throw new PendingMigrationsError();
  }

  /** To a role that may not read the list of applied migrations all would seem pending; whoever made the role sees to them. */
  async #knownToBePending(): Promise<string[]> {
    const pending = await this.pendingMigrations();
    if (pending.length === 0) return pending;
    const [list] = await this.dataSource.query<{ isReadable: boolean | null }[]>(MIGRATIONS_READABLE);
    return list?.isReadable === false ? [] : pending;
  }

  #tryLater(delayMs: number): void {
    this.#retry = setTimeout(() => {
      this.#becomeReady().then(
        () => this.#logger.log('the database is available'),
        (error: unknown) => this.#afterFailedRetry(error, delayMs),
      );
    }, delayMs);
    this.#retry.unref();
  }

  #afterFailedRetry(error: unknown, delayMs: number): void {
    if (this.#closing) return;
    if (!isAway(error) && !(error instanceof PendingMigrationsError))
      this.#logger.error(`cannot get the database ready: ${messageOf(error)}`);
    this.#tryLater(Math.min(delayMs * 2, MAX_RETRY_MS));
  }

  /** Logs when an outage begins and when it is over. */
  #tell(turn: DatabaseTurn): void {
    if (!this.#ready || this.#closing) return;
    if (turn.isUp) this.#logger.log(`the database is back, after ${(turn.downForMs / 1000).toFixed(1)} s`);
    else
      this.#logger.error(
        `the database ${describeTarget(this.endpoint.url)} is unavailable: ${messageOf(turn.error)}`,
      );
  }

  /** `#tell` logs outages; this is for a database that answers reads only, or only those who are connected already. */
  #noteTrouble(error: unknown): void {
    const trouble = outageReason(error);
    if (trouble === undefined && error !== undefined) return;
    if (trouble === this.#toldTrouble || this.#closing || !this.health.isUp) return;
    this.#toldTrouble = trouble;
    const target = describeTarget(this.endpoint.url);
    if (trouble === undefined) this.#logger.log(`the database ${target} works normally again`);
    else {
      const said = messageOf(errorChain(error).at(-1));
      this.#logger.error(`the database ${target} does not work normally: ${trouble} (${said})`);
    }
  }

  async #probeWhileDown(): Promise<void> {
    if (!this.#ready || this.health.isUp || this.#closing) return;
    // its outcome is seen by the connection itself
    await this.query('SELECT 1').catch(() => undefined);
  }

  #settings(): DataSourceSettings {
    return { url: this.endpoint.url, poolSize: this.config.database.poolSize, health: this.health };
  }
}

/** With `DATABASE_MIGRATE=false` somebody else has to apply them, and may be about to. */
class PendingMigrationsError extends Error {
  override readonly name = 'PendingMigrationsError';
}

/** A third of the connections are for everything but prepared statements; each kind has at least one. */
export function shareConnections(poolSize: number): {
  readonly dataSource: number;
  readonly prepared: number;
} {
  const dataSource = Math.ceil(poolSize / 3);
  return { dataSource, prepared: Math.max(1, poolSize - dataSource) };
}

/** A refusal is not an outage at the start, but a wrong configuration. */
function isAway(error: unknown): boolean {
  return isConnectionError(error) && !(error instanceof DatabaseRefusesError);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
