import type { MigrationInterface, QueryRunner } from 'typeorm';

export abstract class ForwardOnlyMigration implements MigrationInterface {
  protected abstract readonly statements: readonly string[];

  async up(runner: QueryRunner): Promise<void> {
    for (const statement of this.statements) await runner.query(statement);
  }

  /** Money is never dropped by a tool. */
  async down(): Promise<void> {
    throw new Error('migrations of the ledger are forward-only');
  }
}
