import { GatewayError } from '@app/contracts';
import type { Period } from '../reports/reports.service.js';
import type { PeriodQuery } from './billing.dto.js';

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;

/** @throws GatewayError `invalid_query` when the period is empty */
export function toPeriod(query: PeriodQuery, now = new Date()): Period {
  const to = query.to === undefined ? now : new Date(query.to);
  const from =
    query.from === undefined ? new Date(to.getTime() - DEFAULT_DAYS * DAY_MS) : new Date(query.from);
  if (!(from < to)) throw new GatewayError('invalid_query', 'from must be before to.', { param: 'from' });
  return { from, to };
}
