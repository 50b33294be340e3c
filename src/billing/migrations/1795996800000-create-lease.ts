import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Money that an instance has reserved ahead for one user: part of `account.held_nano` beside the open holds. Requests of
 * that user take their holds from it in the instance's memory; it shrinks by what they are charged.
 *
 * Whoever changes a row holds the lock on its account's row, so it needs none of its own.
 */
export class CreateLease1795996800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const statement of STATEMENTS) await runner.query(statement);
  }

  /** Money is never dropped by a tool. */
  async down(): Promise<void> {
    throw new Error('migrations of the ledger are forward-only');
  }
}

const STATEMENTS: readonly string[] = [
  `CREATE TABLE lease (
     id uuid PRIMARY KEY,
     user_id text NOT NULL,
     instance_id uuid NOT NULL,
     amount_nano bigint NOT NULL CHECK (amount_nano >= 0),
     recalled boolean NOT NULL DEFAULT false,
     created_at timestamptz NOT NULL DEFAULT now(),
     expires_at timestamptz NOT NULL
   ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)`,
  `CREATE INDEX lease_by_user ON lease (user_id)`,
  `CREATE INDEX lease_by_instance ON lease (instance_id)`,
  `CREATE INDEX lease_recalled ON lease (instance_id) WHERE recalled`,
];
