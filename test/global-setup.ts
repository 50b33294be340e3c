import 'reflect-metadata';
import { join } from 'node:path';
import { runSql, TEMPLATE_DATABASE, withDatabase } from '@app/testing';
import type { TestProject } from 'vitest/node';
import { makeRunDirectory, removeRunDirectory } from '../libs/testing/run-directory.js';
import { migrationOptions } from '../src/database/data-source-options.js';
import { DatabaseHealth } from '../src/database/database-health.js';
import { applyMigrations } from '../src/database/migrations.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../src/database/embedded-postgres.js';

/** What all projects of one vitest run share: each of them runs this file. */
interface Shared {
  users: number;
  started: Promise<{ runDirectory: string; postgres: EmbeddedPostgres }>;
}

const KEY = Symbol.for('llm-gateway.test-run');
const registry = globalThis as { [KEY]?: Shared };

/** One PostgreSQL for the whole run, with a migrated template database that the test files copy. */
export async function setup(project: TestProject): Promise<void> {
  const shared = (registry[KEY] ??= { users: 0, started: start() });
  shared.users += 1;
  const { runDirectory, postgres } = await shared.started;
  project.provide('runDirectory', runDirectory);
  project.provide('postgresUrl', postgres.url);
}

export async function teardown(): Promise<void> {
  const shared = registry[KEY];
  if (!shared) return;
  shared.users -= 1;
  if (shared.users > 0) return;
  delete registry[KEY];
  const { runDirectory, postgres } = await shared.started;
  await postgres.stop();
  await removeRunDirectory(runDirectory);
}

async function start(): Promise<{ runDirectory: string; postgres: EmbeddedPostgres }> {
  const runDirectory = await makeRunDirectory();
  const postgres = await startEmbeddedPostgres({ dataDir: join(runDirectory, 'shared'), fsync: false });
  await runSql(postgres.url, `CREATE DATABASE ${TEMPLATE_DATABASE}`);
  const url = withDatabase(postgres.url, TEMPLATE_DATABASE);
  await applyMigrations(migrationOptions({ url, poolSize: 2, health: new DatabaseHealth() }));
  return { runDirectory, postgres };
}
