import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A request may have several calls whose cost nobody knows: each has its row, by its number among the request's attempts.
 * Who does not know the column notes one call of a request, as before.
 */
export class NumberUnknownCosts1796169600000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `ALTER TABLE unknown_cost
         ADD COLUMN attempt int NOT NULL DEFAULT 0,
         DROP CONSTRAINT unknown_cost_pkey,
         ADD PRIMARY KEY (hold_id, attempt)`,
    );
  }

  /** Money is never dropped by a tool. */
  async down(): Promise<void> {
    throw new Error('migrations of the ledger are forward-only');
  }
}
