import { bulkhead, type BulkheadPolicy } from 'cockatiel';
import type { Socket } from 'node:net';
import type { Client, QueryResultRow } from 'pg';
import type { DataSource } from 'typeorm';
import { poolOf } from './pool-of.js';

/** Runs one statement. int8 comes as text. */
export type Read = <Row extends QueryResultRow>(
  sql: string,
  parameters?: readonly unknown[],
) => Promise<Row[]>;

/**
 * How many of a kind are read at once; others wait for their turn. Neither kind waits for the other: an audit takes
 * minutes, and reports one after the other would keep it waiting for as long as somebody asks for them.
 */
const MOST_AT_ONCE = { audit: 1, report: 2 };

export type PatientKind = keyof typeof MOST_AT_ONCE;

/** The server has to be the first to end a statement: when the driver does, it takes the database for dead. */
const DRIVER_MARGIN_MS = 5_000;

const GOODBYE_MS = 1_000;

const turns = new WeakMap<DataSource, Record<PatientKind, BulkheadPolicy>>();

/**
 * Reads one snapshot with statements that may each take `limitMs`, longer than a request's. Without TypeORM: the driver
 * takes a time limit for each statement, and beyond the usual one a slow answer would count as an outage.
 *
 * On a connection of its own, beside the pool and closed afterwards, so that it takes none away from others.
 *
 * @throws what the driver or the server said; SQLSTATE 57014 after `limitMs`
 */
export function readPatiently<Result>(
  dataSource: DataSource,
  kind: PatientKind,
  limitMs: number,
  work: (read: Read) => Promise<Result>,
): Promise<Result> {
  return turnsOf(dataSource)[kind].execute(() => readSnapshot(dataSource, limitMs, work));
}

async function readSnapshot<Result>(
  dataSource: DataSource,
  limitMs: number,
  work: (read: Read) => Promise<Result>,
): Promise<Result> {
  const client = newConnection(dataSource);
  try {
    await client.connect();
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await client.query("SELECT set_config('statement_timeout', $1, true)", [String(limitMs)]);
    const result = await work(
      async <Row extends QueryResultRow>(sql: string, parameters: readonly unknown[] = []) => {
        const statement = { text: sql, values: [...parameters], query_timeout: limitMs + DRIVER_MARGIN_MS };
        return (await client.query<Row>(statement)).rows;
      },
    );
    await client.query('COMMIT');
    return result;
  } finally {
    await end(client);
  }
}

/** A server that is frozen never says goodbye, and whoever waits for a turn would wait for it. */
async function end(client: Client): Promise<void> {
  const { stream } = (client as unknown as { readonly connection: { readonly stream: Socket } }).connection;
  const timer = setTimeout(() => stream.destroy(), GOODBYE_MS);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}

/** Made as the pool makes its own, except that it may find the server full without that counting as an outage. */
function newConnection(dataSource: DataSource): Client {
  const pool = poolOf(dataSource);
  const client = new pool.Client({ ...pool.options, isExtra: true });
  client.on('error', () => undefined); // seen by the statement that is under way, or the next
  return client;
}

function turnsOf(dataSource: DataSource): Record<PatientKind, BulkheadPolicy> {
  const known = turns.get(dataSource);
  if (known) return known;
  const made = {
    audit: bulkhead(MOST_AT_ONCE.audit, Infinity),
    report: bulkhead(MOST_AT_ONCE.report, Infinity),
  };
  turns.set(dataSource, made);
  return made;
}
