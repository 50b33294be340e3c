import { Client, type ClientConfig } from 'pg';
import type { ConnectionTarget } from './connection-target.js';
import { connectionFailure, DatabaseDownError } from './connection-error.js';
import type { DatabaseHealth } from './database-health.js';
import { hasErrorCode } from './error-code.js';

type Callback = (error: Error | null | undefined, ...result: unknown[]) => void;

/** `read_only_sql_transaction` */
const READ_ONLY = '25006';

/** What was learned about the server while connecting; shared by the connections of one pool. */
export interface ServerTraits {
  tls: boolean;
  /** Session timeouts may be sent with the start of a connection. */
  timeouts: boolean;
  /** Statements may be kept by name, and `preparedOptions` sent with the start of a connection. */
  preparing: boolean;
}

export interface ObservedClientConfig extends ClientConfig {
  /**
   * Opened beside a pool. That the server has no connection left for it (SQLSTATE 53300) does not count as an outage: the
   * pool's still serve.
   */
  readonly isExtra?: boolean;
}

const TOO_MANY_CONNECTIONS = '53300';

/**
 * A node-postgres client class for one pool:
 *
 * - tells `health` how connecting and asking went, and fails at once while its breaker is open;
 * - ends a connection whose answer stayed out beyond `query_timeout`: node-postgres would give it back to the pool with
 *   the old question still running;
 * - ends a connection whose server takes no writes: after a failover it is yesterday's primary, and lives on;
 * - has an error listener from the start, so that a dying server never ends the process;
 * - leaves out the timeout parameters when a pooler refuses them (PgBouncer: "unsupported startup parameter"), and TLS
 *   when it is optional and the server has none. The attempt that finds out fails; the next one succeeds.
 *
 * @param prepared  for connections that keep statements: `options` of libpq that only they have, and traits to share
 */
export function observedClient(
  health: DatabaseHealth,
  target: ConnectionTarget,
  prepared?: { readonly traits: ServerTraits; readonly preparedOptions: string },
): new (config: ObservedClientConfig) => Client {
  const traits = prepared?.traits ?? { tls: target.tls !== undefined, timeouts: true, preparing: false };

  return class ObservedClient extends Client {
    /** As they were at the start of this connection: others may have learned more since. */
    readonly #tried: ServerTraits;

    readonly #isExtra: boolean;
    /** `health.signs` when the current statement was sent. The next one is sent after its answer. */
    #signs = 0;

    constructor({ isExtra = false, ...config }: ObservedClientConfig) {
      super(adapt(config, traits, target, prepared?.preparedOptions));
      this.#isExtra = isExtra;
      this.#tried = { ...traits };
      this.on('error', () => undefined);
      this.#observe();
    }

    /**
     * `connect` and `query` are replaced on the instance, not overridden: their overloads can't be restated, and
     * both come with and without a callback.
     */
    #observe(): void {
      const connect = this.connect.bind(this) as (callback: Callback) => void;
      this.connect = ((callback?: Callback) => {
        if (callback) return this.#connect(connect, callback);
        return new Promise<Client>((resolve, reject) => {
          this.#connect(connect, (error) => (error ? reject(error) : resolve(this)));
        });
      }) as typeof this.connect;

      const query = this.query.bind(this) as (...parameters: unknown[]) => unknown;
      this.query = ((...parameters: unknown[]) => {
        this.#signs = health.signs;
        const callback = parameters.at(-1);
        if (typeof callback === 'function')
          parameters[parameters.length - 1] = this.#noted(callback as Callback);
        const result = query(...parameters);
        if (result instanceof Promise) result.then(this.#answered, this.#failed);
        return result;
      }) as typeof this.query;
    }

    #connect(connect: (callback: Callback) => void, callback: Callback): void {
      if (!health.mayTry()) {
        process.nextTick(callback, new DatabaseDownError(health.lastError));
        return;
      }
      connect((error) => {
        // Success proves nothing: a pooler accepts connections while the database hangs.
        if (error && !learn(traits, this.#tried, target, error) && !this.#isUnneeded(error))
          health.failed(error);
        callback(error && connectionFailure(error));
      });
    }

    #isUnneeded(error: Error): boolean {
      return this.#isExtra && hasErrorCode(error, TOO_MANY_CONNECTIONS);
    }

    #noted(callback: Callback): Callback {
      return (error, ...result) => {
        if (error) this.#failed(error);
        else this.#answered();
        callback(error, ...result);
      };
    }

    readonly #answered = (): void => {
      health.answered();
    };

    readonly #failed = (error: unknown): void => {
      if (!(error instanceof Error)) return;
      const isStuck = error.message === 'Query read timeout';
      if (isStuck) health.silent(this.#signs, error);
      if (isStuck || hasErrorCode(error, READ_ONLY)) void this.end().catch(() => undefined);
    };
  };
}

function adapt(
  config: ClientConfig,
  traits: ServerTraits,
  target: ConnectionTarget,
  preparedOptions: string | undefined,
): ClientConfig {
  const { statement_timeout, lock_timeout, idle_in_transaction_session_timeout, ...rest } = config;
  const timeouts = { statement_timeout, lock_timeout, idle_in_transaction_session_timeout };
  return {
    ...rest,
    ...(traits.timeouts ? timeouts : {}),
    ...(traits.preparing && preparedOptions ? { options: preparedOptions } : {}),
    ssl: traits.tls ? target.tls : false,
  };
}

/** @returns whether the error teaches us, or has taught another connection before, to connect differently next time */
function learn(traits: ServerTraits, tried: ServerTraits, target: ConnectionTarget, error: Error): boolean {
  const refused = refusedTrait(tried, target, error);
  if (refused) traits[refused] = false;
  return refused !== undefined;
}

function refusedTrait(
  tried: ServerTraits,
  target: ConnectionTarget,
  error: Error,
): keyof ServerTraits | undefined {
  if (tried.preparing && /unsupported startup parameter|command-line options/.test(error.message)) {
    return 'preparing';
  }
  if (tried.timeouts && error.message.includes('unsupported startup parameter')) return 'timeouts';
  if (tried.tls && target.tlsOptional && error.message.includes('does not support SSL')) return 'tls';
  return undefined;
}

/** True for an error after which the very next attempt has better chances. */
export function isWorthAnImmediateRetry(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return /unsupported startup parameter|command-line options|does not support SSL/.test(error.message);
}
