/** SQL for a row of `account`: what requests hold in the database, without what is reserved ahead for its user. */
export const HELD_BY_REQUESTS =
  '(held_nano - (SELECT coalesce(sum(amount_nano), 0)::bigint FROM lease WHERE lease.user_id = account.user_id))';
