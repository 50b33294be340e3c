import type { ClientBase, QueryResultRow } from 'pg';
import type { DataSource } from 'typeorm';

/** Runs one statement. int8 comes as text. */
export type Read = <Row extends QueryResultRow>(
  sql: string,
  parameters?: readonly unknown[],
) => Promise<Row[]>;

/** By which the server is first to end a statement: a driver that does takes the database for dead. */
const DRIVER_MARGIN_MS = 5_000;

/**
 * Reads one snapshot, with statements that may take longer than a request's: each `limitMs`. By the driver itself, which
 * takes a time limit with each of them; beyond that of its connections a slow answer counts as a database that is away.
 *
 * @throws what the driver or the server said; SQLSTATE 57014 after `limitMs`
 */
export function readPatiently<Result>(
  dataSource: DataSource,
  limitMs: number,
  work: (read: Read) => Promise<Result>,
): Promise<Result> {
  return dataSource.transaction('REPEATABLE READ', async ({ queryRunner }) => {
    const client = (await queryRunner?.connect()) as ClientBase;
    await client.query('SET TRANSACTION READ ONLY');
    await client.query(`SET LOCAL statement_timeout = ${limitMs}`);
    return work(async <Row extends QueryResultRow>(sql: string, parameters: readonly unknown[] = []) => {
      const statement = { text: sql, values: [...parameters], query_timeout: limitMs + DRIVER_MARGIN_MS };
      return (await client.query<Row>(statement)).rows;
    });
  });
}
