import { createHash } from 'node:crypto';
import { type Client, Pool, type PoolClient, type QueryResult, type QueryResultRow } from 'pg';
import { connectionOptions, type DataSourceSettings } from './data-source-options.js';
import { toGatewayError } from './connection-error.js';
import { readConnectionTarget } from './connection-target.js';
import { hasErrorCode } from './error-code.js';
import { isWorthAnImmediateRetry, observedClient, type ServerTraits } from './observed-client.js';

/**
 * One plan for all parameters, kept; and that plan never reads a whole table: it may be made while the tables are empty,
 * and is kept while they grow. No JIT: servers before 18 take a forbidden scan for so expensive that they compile it.
 */
const PLAN_SETTINGS = '-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off';

/** The port of Supabase's transaction pooler. */
const POOLER_PORT = '6543';

/**
 * SQLSTATEs about the name of a statement, which itself was not begun: there is none of that name (26000), there is one
 * already (42P05), it was planned for tables that have changed since (0A000). The first two come from poolers that give
 * every transaction another server connection.
 */
const NAME_FAILURES = ['26000', '42P05', '0A000'];

/** More texts than this mean that somebody builds SQL at run time. Those get no name, since servers keep every plan. */
const MOST_NAMES = 100;

/**
 * Statements of fixed text, many times: parsed and planned once for each connection, which is half of what the short ones
 * cost the server. They have connections of their own, for the planner's settings, and so that no report takes the last one.
 *
 * Works through transaction poolers too: the first sign of one (a start parameter it refuses, a name that is not there)
 * ends the use of names for good. A name is made of the text, so that whatever a pooler mixes up is the same statement.
 */
export class PreparedStatements {
  readonly #pool: Pool;
  readonly #traits: ServerTraits;
  readonly #names = new Map<string, string>();

  constructor(settings: DataSourceSettings & { readonly preparedStatements: 'auto' | 'off' }) {
    const target = readConnectionTarget(settings.url);
    const url = new URL(target.url);
    this.#traits = {
      tls: target.tls !== undefined,
      timeouts: true,
      preparing: settings.preparedStatements === 'auto' && url.port !== POOLER_PORT,
    };
    const options = url.searchParams.get('options') ?? '';
    url.searchParams.delete('options');
    const preparedOptions = `${options} ${PLAN_SETTINGS}`.trim();
    this.#pool = new Pool({
      ...connectionOptions(),
      connectionString: url.toString(),
      options,
      application_name: 'llm-gateway',
      max: settings.poolSize,
      // its type knows only classes that need no configuration
      Client: observedClient(settings.health, target, {
        traits: this.#traits,
        preparedOptions,
      }) as typeof Client,
    });
    this.#pool.on('error', settings.onIdleError ?? ((): void => undefined));
  }

  /** False once the server turned out not to keep statements between transactions, or when they are switched off. */
  get preparing(): boolean {
    return this.#traits.preparing;
  }

  get counts(): { readonly total: number; readonly idle: number; readonly waiting: number } {
    const { totalCount: total, idleCount: idle, waitingCount: waiting } = this.#pool;
    return { total, idle, waiting };
  }

  /** Errors as `DatabaseService.query`. */
  async query<Row extends QueryResultRow>(sql: string, parameters: readonly unknown[] = []): Promise<Row[]> {
    try {
      const client = await this.#connect();
      try {
        return await this.#ask<Row>(client, sql, parameters);
      } finally {
        client.release();
      }
    } catch (error) {
      throw toGatewayError(error);
    }
  }

  end(): Promise<void> {
    return this.#pool.end();
  }

  /** What a pooler refuses is found out one by one: the plan settings, the timeouts, TLS. */
  async #connect(attempts = 4): Promise<PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      if (attempts <= 1 || !isWorthAnImmediateRetry(error)) throw error;
      return this.#connect(attempts - 1);
    }
  }

  async #ask<Row extends QueryResultRow>(
    client: PoolClient,
    sql: string,
    parameters: readonly unknown[],
  ): Promise<Row[]> {
    const name = this.#traits.preparing ? this.#nameOf(sql) : undefined;
    try {
      return await send<Row>(client, name, sql, parameters);
    } catch (error) {
      if (name === undefined || !hasErrorCode(error, ...NAME_FAILURES)) throw error;
      this.#traits.preparing = false;
      return send<Row>(client, undefined, sql, parameters);
    }
  }

  #nameOf(sql: string): string | undefined {
    const known = this.#names.get(sql);
    if (known !== undefined || this.#names.size >= MOST_NAMES) return known;
    const name = `gateway_${createHash('sha256').update(sql).digest('hex').slice(0, 24)}`;
    this.#names.set(sql, name);
    return name;
  }
}

/** With a callback: node-postgres makes two promises more, and a stack trace, without one. */
function send<Row extends QueryResultRow>(
  client: PoolClient,
  name: string | undefined,
  text: string,
  parameters: readonly unknown[],
): Promise<Row[]> {
  return new Promise((resolve, reject) => {
    const answered = (error: Error | null, result: QueryResult<Row>): void => {
      if (error) reject(error);
      else resolve(result.rows);
    };
    // a name of `undefined` is none
    client.query({ name, text, values: parameters as unknown[] } as { text: string }, answered);
  });
}
