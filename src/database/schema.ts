import type { MigrationInterface } from 'typeorm';
import { AUTH_MIGRATIONS } from '../auth/persistence.js';
import { BILLING_ENTITIES, BILLING_MIGRATIONS } from '../billing/persistence.js';

// Joined here: the modules own their tables, this folder the connection.

export const ENTITIES = BILLING_ENTITIES;

/** In the order they are applied. */
export const MIGRATIONS: readonly (new () => MigrationInterface)[] = [
  ...BILLING_MIGRATIONS,
  ...AUTH_MIGRATIONS,
];
