import { ForwardOnlyMigration } from './forward-only-migration.js';

/**
 * How much of a lease requests hold, as its owner told last: what other instances answer about a balance needs it, and
 * nothing else. An owner that does not know the column leaves it at nothing.
 */
export class AddLeaseInUse1796083200000 extends ForwardOnlyMigration {
  protected readonly statements = ['ALTER TABLE lease ADD COLUMN in_use_nano bigint NOT NULL DEFAULT 0'];
}
