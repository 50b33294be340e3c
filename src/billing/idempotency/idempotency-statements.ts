/**
 * Claims a key, atomically: nobody else executes it while the row is there. A claim whose owner died is taken over once
 * the owner's journal was replayed, or when it has been silent for as long as a hold lives; one with an answer past its
 * term, at once. Never while a hold of the key is open, and never when one was charged: one charge per key, for ever.
 *
 * $1 user, $2 key, $3 fingerprint (hex), $4 billing id, $5 instance, $6 stream, $7 term in ms, $8 a hold's term in ms
 */
export const CLAIM_KEY = `
  INSERT INTO idempotent_response AS r (user_id, idem_key, fingerprint, hold_id, instance_id, stream, expires_at)
  SELECT $1, $2, decode($3, 'hex'), $4, $5, $6, now() + $7::bigint * interval '1 millisecond'
   WHERE NOT EXISTS (SELECT 1 FROM hold WHERE user_id = $1 AND idem_key = $2 AND state IN ('open', 'captured'))
  ON CONFLICT (user_id, idem_key) DO UPDATE
     SET fingerprint = excluded.fingerprint, hold_id = excluded.hold_id, instance_id = excluded.instance_id,
         stream = excluded.stream, status = NULL, headers = NULL, body = NULL, claimed_at = now(),
         expires_at = excluded.expires_at
   WHERE r.expires_at < now()
      OR (r.status IS NULL AND EXISTS (
            SELECT 1 FROM gateway_instance g WHERE g.id = r.instance_id AND g.replayed_at IS NOT NULL))
      OR (r.status IS NULL AND r.claimed_at < now() - $8::bigint * interval '1 millisecond' AND NOT EXISTS (
            SELECT 1 FROM gateway_instance g WHERE g.id = r.instance_id
               AND g.heartbeat_at >= now() - $8::bigint * interval '1 millisecond'))
  RETURNING hold_id`;

/** What is known of a key. $1 user, $2 key */
export const LOOK_AT_KEY = `
  SELECT encode(r.fingerprint, 'hex') AS fingerprint, r.status, r.headers, r.body, r.stream,
         h.charged, encode(h.fingerprint, 'hex') AS hold_fingerprint,
         r.instance_id IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM gateway_instance g WHERE g.id = r.instance_id AND g.replayed_at IS NOT NULL) AS owned
    FROM (SELECT 1) one
    LEFT JOIN idempotent_response r ON r.user_id = $1 AND r.idem_key = $2 AND r.expires_at >= now()
    LEFT JOIN LATERAL (
      SELECT state = 'captured' AS charged, fingerprint FROM hold
       WHERE user_id = $1 AND idem_key = $2 AND state IN ('open', 'captured')) h ON true`;

/**
 * The answer of a charged request, after its settlement: any number of times, and whatever became of the claim, since
 * nobody else can be charged for the key. Nothing when the settlement was written off because another attempt was charged.
 *
 * $1 user, $2 key, $3 fingerprint (hex), $4 billing id, $5 instance, $6 stream, $7 status, $8 headers, $9 body, $10 term in ms
 */
export const STORE_CHARGED_RESPONSE = `
  INSERT INTO idempotent_response AS r
         (user_id, idem_key, fingerprint, hold_id, instance_id, stream, status, headers, body, expires_at)
  SELECT $1, $2, decode($3, 'hex'), $4, $5, $6, $7, $8::jsonb, $9, now() + $10::bigint * interval '1 millisecond'
   WHERE EXISTS (SELECT 1 FROM hold WHERE id = $4 AND state = 'captured')
  ON CONFLICT (user_id, idem_key) DO UPDATE
     SET fingerprint = excluded.fingerprint, hold_id = excluded.hold_id, instance_id = excluded.instance_id,
         stream = excluded.stream, status = excluded.status, headers = excluded.headers, body = excluded.body,
         expires_at = excluded.expires_at
   WHERE r.status IS NULL OR r.expires_at < now()`;

/** An answer that cost nothing. $1 user, $2 key, $3 billing id, $4 status, $5 headers, $6 body, $7 term in ms */
export const STORE_RESPONSE = `
  UPDATE idempotent_response
     SET status = $4, headers = $5, body = $6, expires_at = now() + $7::bigint * interval '1 millisecond'
   WHERE user_id = $1 AND idem_key = $2 AND hold_id = $3 AND status IS NULL`;

/** $1 user, $2 key, $3 billing id */
export const ABANDON_CLAIM = `
  DELETE FROM idempotent_response WHERE user_id = $1 AND idem_key = $2 AND hold_id = $3 AND status IS NULL`;
