import { GatewayError } from '@app/contracts';
import { codeOf } from './error-code.js';

const RETRY_AFTER_MS = 5_000;

/** Refused without trying: the last attempts failed, and the next trial is due within a second. */
export class DatabaseDownError extends Error {
  override readonly name = 'DatabaseDownError';

  constructor(cause: unknown) {
    super('the database is down', { cause });
  }
}

/**
 * The server is there and refuses new connections: password, role, database, certificate. At the start that is a wrong
 * configuration; later it is an outage, which somebody may be about to mend.
 */
export class DatabaseRefusesError extends Error {
  override readonly name = 'DatabaseRefusesError';

  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

const SYSTEM_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOENT',
  'EMFILE',
  'ENFILE',
]);

/**
 * SQLSTATEs that say "not now" about the server or the way to it (PostgreSQL manual, appendix A): connection exceptions
 * (08), a password or role that is not taken (28: poolers say it in answer to a statement), operator intervention (57P), too
 * many connections or no resources (53), a read-only standby after a failover (25006), a statement or lock timeout of ours.
 */
const SQL_STATES = /^(08...|28...|57P0.|53...|25006|57014|55P03)$/;

/** node-postgres, its pool, TypeORM and the poolers give these no code. */
const MESSAGES =
  /Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|not queryable|Driver not Connected|Connection with .* database is not established|DataSource is not (set|initialized)|Cannot use a pool after calling end|Client was closed|EDBHANDLEREXITED|EMAXCONNSESSION|DbHandler exited|max clients? reached/i;

/**
 * Whether the database could not be asked, or did not answer: nothing is known about the statement's effect (it may
 * have been done), and the same statement may succeed later. False for whatever the database itself answered.
 */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof DatabaseDownError || error instanceof DatabaseRefusesError) return true;
  if (error instanceof GatewayError) return error.code === 'database_unavailable';
  if (!(error instanceof Error)) return false;
  const code = codeOf(error) ?? '';
  if (SYSTEM_CODES.has(code) || SQL_STATES.test(code) || MESSAGES.test(error.message)) return true;
  // TypeORM wraps the driver's error; several addresses of one host fail as an AggregateError
  if ('driverError' in error && error.driverError !== error) return isConnectionError(error.driverError);
  return error instanceof AggregateError && error.errors.some(isConnectionError);
}

/** Why a connection failed, in terms of statement errors: a refusal by the server is an outage, too. */
export function connectionFailure(error: Error): Error {
  const isRefusal = !isConnectionError(error) || codeOf(error)?.startsWith('28') === true;
  return isRefusal ? new DatabaseRefusesError(error) : error;
}

/** A connection error becomes 503 `database_unavailable`; every other error is given back as it is. */
export function toGatewayError(error: unknown): unknown {
  return isConnectionError(error) ? databaseUnavailable(error) : error;
}

export function databaseUnavailable(cause?: unknown): GatewayError {
  if (cause instanceof GatewayError) return cause;
  return new GatewayError('database_unavailable', 'The database is not available at the moment.', {
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}
