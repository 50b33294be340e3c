import { ForwardOnlyMigration } from './forward-only-migration.js';

/**
 * A request may have several calls whose cost nobody knows: each has its row, by its number among the request's attempts.
 * An older version, which does not know the column, notes one call of a request.
 */
export class NumberUnknownCosts1796169600000 extends ForwardOnlyMigration {
  protected readonly statements = [
    `ALTER TABLE unknown_cost
       ADD COLUMN attempt int NOT NULL DEFAULT 0,
       DROP CONSTRAINT unknown_cost_pkey,
       ADD PRIMARY KEY (hold_id, attempt)`,
  ];
}
