import { ForwardOnlyMigration } from './forward-only-migration.js';

/**
 * Blocks of the ledger that its index of time has not summarised are read for every period. A vacuum does that, and of a
 * table that only grows it comes when a fifth was added: of ten million entries, two would be read for the newest ten.
 */
export class SummariseLedgerByTime1796342400000 extends ForwardOnlyMigration {
  protected readonly statements = ['ALTER INDEX ledger_by_time SET (autosummarize = on)'];
}
