import type { DataSourceOptions } from 'typeorm';
import { AUTH_MIGRATIONS } from '../auth/persistence.js';
import { BILLING_ENTITIES, BILLING_MIGRATIONS } from '../billing/persistence.js';

type ListOf<Key extends 'entities' | 'migrations'> = Extract<
  NonNullable<DataSourceOptions[Key]>,
  readonly unknown[]
>;

/** What the gateway keeps in the database. */
export interface DatabaseSchema {
  readonly entities: ListOf<'entities'>;
  /** In the order they are applied. Forward only. */
  readonly migrations: ListOf<'migrations'>;
}

/** Joined here, so that the modules own their tables and this folder owns the connection. */
export const SCHEMA: DatabaseSchema = {
  entities: BILLING_ENTITIES,
  migrations: [...BILLING_MIGRATIONS, ...AUTH_MIGRATIONS],
};
