import { GatewayError } from '@app/contracts';
import { BrokenCircuitError, circuitBreaker, CircuitState, ConsecutiveBreaker, handleWhen } from 'cockatiel';
import { databaseUnavailable, isConnectionError } from '../database/connection-error.js';
import { codeOf } from '../database/error-code.js';

/** Runs one statement on a connection of its own. int8 comes as text. */
export interface StatementRunner {
  query<Row extends object>(sql: string, parameters?: readonly unknown[]): Promise<Row[]>;
}

const FAILURES_TO_OPEN = 2;
const HALF_OPEN_AFTER_MS = 1000;

/**
 * The other currency that the books are kept in. No row while nothing was ever priced, nor where anything was ever priced
 * in $1: whoever has run with that before is not locked out. $1 the gateway's currency
 */
const OTHER_CURRENCY_OF_BOOKS = `
  SELECT currency FROM price_version
   WHERE NOT EXISTS (SELECT FROM price_version WHERE currency = $1)
   ORDER BY created_at DESC LIMIT 1`;

/**
 * The way of every money statement: one statement, one round trip, through a breaker that fails fast while Postgres is
 * away. Read-committed, never a transaction across an await of anything else.
 */
export class MoneyDatabase {
  readonly #breaker = circuitBreaker(handleWhen(isOutage), {
    halfOpenAfter: HALF_OPEN_AFTER_MS,
    breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN),
  });

  /** Called once, with the books' currency, when that is another one. */
  onOtherCurrency: (currency: string) => void = () => undefined;
  #areBooksOurs: boolean;
  #otherCurrency: string | undefined;

  /** @param currency  of this gateway's amounts; without it the books' currency is not checked */
  constructor(
    private readonly statements: StatementRunner,
    private readonly currency?: string,
  ) {
    this.#areBooksOurs = currency === undefined;
  }

  /**
   * Runs one statement. Its parameters are gone when it was answered; when it failed they are there for another try.
   *
   * @throws GatewayError `database_unavailable` when nothing is known about the statement's effect
   * @throws DatabaseError of node-postgres when the database itself refused it (see `sqlStateOf`)
   */
  async query<Row>(sql: string, parameters: unknown[] = []): Promise<Row[]> {
    try {
      if (!this.#areBooksOurs) await this.#compareCurrency();
      const rows = await this.#breaker.execute(() => this.statements.query<Row & object>(sql, parameters));
      letGo(parameters);
      return rows;
    } catch (error) {
      if (error instanceof BrokenCircuitError || isConnectionError(error)) throw databaseUnavailable(error);
      throw error;
    }
  }

  /**
   * A changed setting must not turn an account's 100 dollars into 100 euros. Checked before the very first statement: what
   * was served on credit while the database was away would otherwise be booked before anybody looked.
   */
  async #compareCurrency(): Promise<void> {
    if (this.#otherCurrency !== undefined) throw databaseUnavailable();
    const [other] = await this.#breaker.execute(() =>
      this.statements.query<{ currency: string }>(OTHER_CURRENCY_OF_BOOKS, [this.currency]),
    );
    if (!other) {
      this.#areBooksOurs = true;
      return;
    }
    if (this.#otherCurrency === undefined) this.onOtherCurrency(other.currency);
    this.#otherCurrency = other.currency;
    throw databaseUnavailable();
  }

  /** False while the breaker is open: a statement would fail at once. */
  get isReachable(): boolean {
    return this.#breaker.state === CircuitState.Closed;
  }
}

/**
 * The driver holds the same array, and dead objects of the old generation may keep it alive for seconds. A batch's texts
 * are the largest things it would keep alive with it.
 */
function letGo(parameters: unknown[]): void {
  parameters.length = 0;
}

/**
 * Repeats a statement after a deadlock, or after a CHECK that refused a stale version of a row.
 *
 * @param alsoWorth  a further SQLSTATE to retry after
 */
export async function retryOnce<T>(statement: () => Promise<T>, alsoWorth?: string): Promise<T> {
  try {
    return await statement();
  } catch (error) {
    const state = sqlStateOf(error) ?? '';
    if (!WORTH_A_RETRY.includes(state) && state !== alsoWorth) throw error;
    return statement();
  }
}

/** SQLSTATE of what the database refused; `undefined` for any other error. */
export function sqlStateOf(error: unknown): string | undefined {
  if (error instanceof GatewayError) return sqlStateOf(error.cause);
  const code = codeOf(error);
  return code?.length === 5 ? code : undefined;
}

/** Name of the constraint that refused a row; `undefined` for any other error. */
export function violatedConstraint(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return 'constraint' in error && typeof error.constraint === 'string' ? error.constraint : undefined;
}

export const SQL_STATE = {
  uniqueViolation: '23505',
  checkViolation: '23514',
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
  deadlockDetected: '40P01',
  numericOutOfRange: '22003',
} as const;

const WORTH_A_RETRY: readonly string[] = [SQL_STATE.checkViolation, SQL_STATE.deadlockDetected];

/** A timeout that the living server reported itself is one busy row, not a missing database. */
export function isOutage(error: unknown): boolean {
  const state = sqlStateOf(error);
  return (
    isConnectionError(error) && state !== SQL_STATE.lockNotAvailable && state !== SQL_STATE.queryCanceled
  );
}
