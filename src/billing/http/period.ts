import { GatewayError } from '@app/contracts';
import type { Period } from '../reports/reports.service.js';
import type { PeriodQuery } from './billing.dto.js';

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;

/**
 * Without bounds: thirty whole days of UTC, today included. Not "until now": a charge that is booked while the report
 * is asked for belongs to it, and the database's clock is not ours.
 *
 * @throws GatewayError `invalid_query` when the period is empty, or a bound is none
 */
export function toPeriod(query: PeriodQuery, now = new Date()): Period {
  const endOfToday = new Date((Math.floor(now.getTime() / DAY_MS) + 1) * DAY_MS);
  const to = query.to === undefined ? endOfToday : toTime('to', query.to);
  const from =
    query.from === undefined ? new Date(to.getTime() - DEFAULT_DAYS * DAY_MS) : toTime('from', query.from);
  if (!(from < to)) {
    const message = 'from must be before to. to is exclusive: for a single day, give the next day.';
    throw new GatewayError('invalid_query', message, { param: 'from' });
  }
  return { from, to };
}

const HAS_TIME = /\d[T ]\d/i;
const HAS_ZONE = /(Z|[+-]\d\d(:?\d\d)?)$/i;

/** A time without a zone is UTC, as a date is: where the gateway stands is no part of the books. */
function toTime(param: 'from' | 'to', text: string): Date {
  const time = new Date(HAS_TIME.test(text) && !HAS_ZONE.test(text) ? `${text}Z` : text);
  if (!Number.isNaN(time.getTime())) return time;
  const message = `${param} must be a date (2026-11-30) or a time (2026-11-30T12:00:00Z).`;
  throw new GatewayError('invalid_query', message, { param });
}
