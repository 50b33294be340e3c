import { ForwardOnlyMigration } from './forward-only-migration.js';

/**
 * The money tables. Amounts are nano-units of the currency (int8); prices live in `price_version.card`, in pico-units.
 *
 * - `account.balance_nano` is a cache of the sum of the ledger that can be locked; `held_nano` of the open holds.
 *   The CHECK is the last line of defence: whatever a statement does, nobody spends what is not there.
 * - `ledger` is double entry in one row: the user's account and the named counter account move by opposite amounts.
 *   House accounts are never stored, so none of them is a hot row; each is a sum over the ledger.
 * - `hold` has no foreign key to `account`: it would lock the account's row a second time for every request, and the
 *   statement that inserts a hold has updated that very row.
 */
export class CreateBilling1795392000000 extends ForwardOnlyMigration {
  protected readonly statements = [
    `CREATE TABLE account (
       user_id text PRIMARY KEY CHECK (length(user_id) BETWEEN 1 AND 128),
       balance_nano bigint NOT NULL,
       held_nano bigint NOT NULL DEFAULT 0,
       created_at timestamptz NOT NULL DEFAULT now(),
       CONSTRAINT account_held_within_balance CHECK (held_nano >= 0 AND held_nano <= balance_nano)
     ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)`,

    // One row per boot: its id is the epoch that holds carry. replayed_at = everything it ever wrote down is booked.
    `CREATE TABLE gateway_instance (
       id uuid PRIMARY KEY,
       host text NOT NULL,
       started_at timestamptz NOT NULL DEFAULT now(),
       heartbeat_at timestamptz NOT NULL DEFAULT now(),
       replayed_at timestamptz
     )`,

    `CREATE TABLE price_version (
       id text PRIMARY KEY,
       provider text NOT NULL,
       model text NOT NULL,
       card jsonb NOT NULL,
       currency text NOT NULL,
       created_at timestamptz NOT NULL DEFAULT now()
     )`,

    // open -> captured | released by its owner; -> orphaned by the sweep, which gives the money back. A settlement that comes
    // after the sweep still captures.
    // amount_nano is what is reserved now; bound_nano the worst case that was accepted (more than amount for a sliced
    // stream). A hold on credit was taken while the database was away: nothing is reserved for it.
    `CREATE TABLE hold (
       id uuid PRIMARY KEY,
       request_id text NOT NULL,
       user_id text NOT NULL,
       model text NOT NULL,
       stream boolean NOT NULL,
       targets jsonb NOT NULL,
       amount_nano bigint NOT NULL CHECK (amount_nano >= 0),
       bound_nano bigint NOT NULL CHECK (bound_nano >= 0),
       state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'captured', 'released', 'orphaned')),
       captured_nano bigint CHECK (captured_nano >= 0),
       shortfall_nano bigint CHECK (shortfall_nano >= 0),
       outcome text,
       attempts jsonb,
       on_credit boolean NOT NULL DEFAULT false,
       instance_id uuid NOT NULL,
       idem_key text,
       fingerprint bytea,
       created_at timestamptz NOT NULL DEFAULT now(),
       expires_at timestamptz NOT NULL,
       closed_at timestamptz,
       CONSTRAINT hold_captured_has_amount CHECK (state <> 'captured' OR captured_nano IS NOT NULL)
     ) WITH (fillfactor = 70)`,
    // One live or charged attempt per key: the last line of defence of Idempotency-Key.
    `CREATE UNIQUE INDEX hold_idempotency ON hold (user_id, idem_key)
       WHERE idem_key IS NOT NULL AND state IN ('open', 'captured')`,
    // Always small: open holds only. The sweep reads all of it for those past their term.
    `CREATE INDEX hold_open ON hold (instance_id) WHERE state = 'open'`,
    `CREATE INDEX hold_request ON hold (request_id)`,

    // The id of a charge is the id of its hold: a second charge of one request is a duplicate key.
    // clock_timestamp(): rows of one account are written under its row lock, so time orders them as they happened.
    `CREATE TABLE ledger (
       id uuid PRIMARY KEY,
       seq bigint GENERATED ALWAYS AS IDENTITY,
       user_id text NOT NULL,
       kind text NOT NULL CHECK (kind IN ('grant', 'topup', 'charge', 'refund', 'adjustment')),
       counter_account text NOT NULL CHECK (counter_account IN ('promotion', 'deposits', 'revenue', 'adjustments')),
       amount_nano bigint NOT NULL,
       balance_after_nano bigint NOT NULL CHECK (balance_after_nano >= 0),
       description text NOT NULL,
       hold_id uuid,
       request_id text,
       model text,
       provider text,
       upstream_model text,
       usage jsonb,
       usage_source text,
       price_version text,
       price_factor text,
       idempotency_key text,
       actor text,
       created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
       CONSTRAINT ledger_kind_matches_amount CHECK (
         CASE kind
           WHEN 'charge' THEN amount_nano <= 0 AND counter_account = 'revenue' AND hold_id = id
           WHEN 'refund' THEN amount_nano > 0 AND counter_account = 'revenue' AND hold_id IS NOT NULL
           WHEN 'grant' THEN amount_nano > 0 AND counter_account = 'promotion'
           WHEN 'topup' THEN amount_nano > 0 AND counter_account = 'deposits'
           ELSE amount_nano <> 0 AND counter_account = 'adjustments'
         END)
     )`,
    `CREATE UNIQUE INDEX ledger_one_grant ON ledger (user_id) WHERE kind = 'grant'`,
    `CREATE UNIQUE INDEX ledger_one_refund ON ledger (hold_id) WHERE kind = 'refund'`,
    `CREATE UNIQUE INDEX ledger_idempotency ON ledger (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL`,
    `CREATE INDEX ledger_by_user ON ledger (user_id, created_at DESC, seq DESC)`,
    // Append-only and in order of time: a few pages of index for the reports over everybody.
    `CREATE INDEX ledger_by_time ON ledger USING brin (created_at)`,

    `CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
       RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
     END $$`,
    ...['ledger', 'price_version'].flatMap((table) => [
      `CREATE TRIGGER ${table}_append_only BEFORE UPDATE OR DELETE ON ${table}
         FOR EACH ROW EXECUTE FUNCTION refuse_change()`,
      `CREATE TRIGGER ${table}_no_truncate BEFORE TRUNCATE ON ${table}
         FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
    ]),

    // status NULL = being executed by instance_id under hold_id. body NULL with a status = too large to keep.
    `CREATE TABLE idempotent_response (
       user_id text NOT NULL,
       idem_key text NOT NULL,
       fingerprint bytea NOT NULL,
       hold_id uuid NOT NULL,
       instance_id uuid NOT NULL,
       stream boolean NOT NULL,
       status int,
       headers jsonb,
       body bytea,
       claimed_at timestamptz NOT NULL DEFAULT now(),
       expires_at timestamptz NOT NULL,
       PRIMARY KEY (user_id, idem_key)
     )`,
    `CREATE INDEX idempotent_response_expiry ON idempotent_response (expires_at)`,

    // Calls that were sent and never answered: the user paid nothing, the provider may send a bill.
    `CREATE TABLE unknown_cost (
       hold_id uuid PRIMARY KEY,
       request_id text NOT NULL,
       user_id text NOT NULL,
       provider text NOT NULL,
       upstream_model text NOT NULL,
       provider_request_id text,
       reason text NOT NULL,
       created_at timestamptz NOT NULL DEFAULT now(),
       reconciled_at timestamptz
     )`,
    `CREATE INDEX unknown_cost_open ON unknown_cost (created_at) WHERE reconciled_at IS NULL`,
  ];
}
