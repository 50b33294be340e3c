import { ForwardOnlyMigration } from './forward-only-migration.js';

/**
 * Money that an instance has reserved ahead for one user: part of `account.held_nano` beside the open holds. Requests of
 * that user take their holds from it in the instance's memory; it shrinks by what they are charged.
 *
 * Whoever changes a row holds the lock on its account's row, so it needs none of its own.
 */
export class CreateLease1795996800000 extends ForwardOnlyMigration {
  protected readonly statements = [
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
}
