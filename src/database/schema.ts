import type { MigrationInterface } from 'typeorm';
import { AUTH_MIGRATIONS } from '../auth/persistence.js';
import { BILLING_MIGRATIONS } from '../billing/persistence.js';

/** In the order they are applied. Joined here: the modules own their tables, this folder the connection. */
export const MIGRATIONS: readonly (new () => MigrationInterface)[] = [
  ...BILLING_MIGRATIONS,
  ...AUTH_MIGRATIONS,
];
