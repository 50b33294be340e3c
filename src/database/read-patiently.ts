import { bulkhead, type BulkheadPolicy } from 'cockatiel';
import type { ClientBase, QueryResultRow } from 'pg';
import type { DataSource } from 'typeorm';

/** Runs one statement. int8 comes as text. */
export type Read = <Row extends QueryResultRow>(
  sql: string,
  parameters?: readonly unknown[],
) => Promise<Row[]>;

/** By which the server is first to end a statement: a driver that does takes the database for dead. */
const DRIVER_MARGIN_MS = 5_000;

/** Connections of a pool that are left to everybody else, as far as it has more than one. */
const CONNECTIONS_LEFT = 2;
const turns = new WeakMap<DataSource, BulkheadPolicy>();

/**
 * Reads one snapshot, with statements that may take longer than a request's: each `limitMs`. By the driver itself, which
 * takes a time limit with each of them; beyond that of its connections a slow answer counts as a database that is away.
 * When as many are read already as the pool can spare, it waits.
 *
 * @throws what the driver or the server said; SQLSTATE 57014 after `limitMs`
 */
export function readPatiently<Result>(
  dataSource: DataSource,
  limitMs: number,
  work: (read: Read) => Promise<Result>,
): Promise<Result> {
  return turnsOf(dataSource).execute(() => read(dataSource, limitMs, work));
}

function read<Result>(
  dataSource: DataSource,
  limitMs: number,
  work: (read: Read) => Promise<Result>,
): Promise<Result> {
  return dataSource.transaction('REPEATABLE READ', async ({ queryRunner }) => {
    const client = (await queryRunner?.connect()) as ClientBase;
    await client.query('SET TRANSACTION READ ONLY');
    await client.query("SELECT set_config('statement_timeout', $1, true)", [String(limitMs)]);
    return work(async <Row extends QueryResultRow>(sql: string, parameters: readonly unknown[] = []) => {
      const statement = { text: sql, values: [...parameters], query_timeout: limitMs + DRIVER_MARGIN_MS };
      return (await client.query<Row>(statement)).rows;
    });
  });
}

function turnsOf(dataSource: DataSource): BulkheadPolicy {
  const known = turns.get(dataSource);
  if (known) return known;
  const { options } = dataSource;
  const connections = ('poolSize' in options ? options.poolSize : undefined) ?? 1;
  const made = bulkhead(Math.max(1, connections - CONNECTIONS_LEFT), Infinity);
  turns.set(dataSource, made);
  return made;
}
