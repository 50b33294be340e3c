import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createDatabase, type TestDatabase } from '@app/testing';
import { Logger } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import type { JournalRecord } from '../../src/billing/journal/journal-record.js';
import { JournalWriter } from '../../src/billing/journal/journal-writer.js';
import { connect } from './billing-machine.js';

export * from './billing-machine.js';

// What a machine has to say is in its events.
Logger.overrideLogger(false);

/** A database of one billing test file, reached the way the gateway reaches it. */
export interface BillingDatabase {
  readonly database: TestDatabase;
  readonly dataSource: DataSource;
  close(): Promise<void>;
}

/** Real PostgreSQL, empty money tables. */
export async function openBillingDatabase(poolSize = 16): Promise<BillingDatabase> {
  const database = await createDatabase();
  const dataSource = await connect(database.url, poolSize);
  return {
    database,
    dataSource,
    close: async () => {
      await dataSource.destroy();
      await database.drop();
    },
  };
}

/** The journal of a process that is no more, with these lines in it. @returns the id of its instance */
export async function deadJournal(
  dataDir: string,
  owner: Record<string, unknown>,
  ...records: JournalRecord[]
): Promise<string> {
  const id = randomUUID();
  const directory = join(dataDir, 'journal', id);
  await mkdir(directory, { recursive: true });
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  await writeFile(
    join(directory, 'owner.json'),
    JSON.stringify({ host: hostname(), boot, process: '999999-1', ...owner }),
  );
  const writer = await JournalWriter.open(directory, { segmentBytes: 65_536 });
  for (const record of records) await writer.append(record);
  await writer.close();
  return id;
}
