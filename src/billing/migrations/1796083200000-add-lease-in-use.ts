import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * How much of a lease requests hold, as its owner told last: what other instances answer about a balance needs it, and
 * nothing else. An owner that does not know the column leaves it at nothing.
 */
export class AddLeaseInUse1796083200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER TABLE lease ADD COLUMN in_use_nano bigint NOT NULL DEFAULT 0');
  }

  /** Money is never dropped by a tool. */
  async down(): Promise<void> {
    throw new Error('migrations of the ledger are forward-only');
  }
}
