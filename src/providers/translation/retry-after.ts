/** A longer wait is taken for a mistake, and cut to this. */
export const MAX_RETRY_AFTER_MS = 24 * 3_600_000;

/**
 * How long a provider asks to be left alone: the header `retry-after`, or another place that says it in the same form.
 *
 * @param value  seconds, or a date
 * @returns      milliseconds from now, at most a day
 */
export function toRetryAfterMs(value: string | null | undefined): number | undefined {
  if (!value) return undefined;
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? Math.ceil(seconds * 1000) : Date.parse(value) - Date.now();
  return ms >= 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}
