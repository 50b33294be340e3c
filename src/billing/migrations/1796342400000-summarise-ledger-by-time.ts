import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Blocks of the ledger that its index of time has not summarised are read for every period. A vacuum does that, and of a
 * table that only grows it comes when a fifth was added: of ten million entries, two would be read for the newest ten.
 */
export class SummariseLedgerByTime1796342400000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('ALTER INDEX ledger_by_time SET (autosummarize = on)');
  }

  /** Money is never dropped by a tool. */
  async down(): Promise<void> {
    throw new Error('migrations of the ledger are forward-only');
  }
}
