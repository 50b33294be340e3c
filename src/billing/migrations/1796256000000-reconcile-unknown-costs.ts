import { ForwardOnlyMigration } from './forward-only-migration.js';

/**
 * What an administrator decided about a call of unknown cost: what its user was charged (0 = written off), who said so, and
 * why. Rows that were reconciled by hand before have none of it.
 *
 * And the hold up to which an instance has looked for old ones to forget: the next instance goes on from there.
 */
export class ReconcileUnknownCosts1796256000000 extends ForwardOnlyMigration {
  protected readonly statements = [
    `ALTER TABLE unknown_cost
       ADD COLUMN reconciled_nano bigint CHECK (reconciled_nano >= 0),
       ADD COLUMN reconciled_by text,
       ADD COLUMN reconciled_because text`,
    // What may be forgotten, among the many that may not.
    `CREATE INDEX unknown_cost_written_off ON unknown_cost (reconciled_at)
       WHERE reconciled_at IS NOT NULL AND coalesce(reconciled_nano, 0) = 0`,
    'ALTER TABLE gateway_instance ADD COLUMN forgot_until uuid',
  ];
}
