import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Tokens that must no longer work: one by its `jti`, or everything a user was given until `revoked_at`. */
export class CreateAuthRevocation1795392100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `CREATE TABLE auth_revocation (
         kind text NOT NULL CHECK (kind IN ('jti', 'sub')),
         value text NOT NULL CHECK (length(value) BETWEEN 1 AND 256),
         revoked_at timestamptz NOT NULL DEFAULT now(),
         revoked_by text NOT NULL,
         reason text,
         PRIMARY KEY (kind, value)
       )`,
    );
    // Instances ask for what is new.
    await runner.query('CREATE INDEX auth_revocation_revoked_at ON auth_revocation (revoked_at)');
  }

  /** Dropping the table would make revoked tokens work again. */
  async down(): Promise<void> {
    throw new Error('revocations are forward-only');
  }
}
