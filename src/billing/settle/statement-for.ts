import { toTextArray } from '../text-array.js';
import { SETTLE_BATCH, SETTLE_LEASED, SETTLE_ONE } from './settle-statements.js';
import type { BookedSettlement, SettlementRecord } from './settlement-record.js';

export type Statement = [sql: string, parameters: unknown[]];

type Batch = readonly { readonly record: SettlementRecord }[];

/** What the statements return of each settlement that they have booked. */
export interface BookedRow {
  id: string;
  shortfall_nano: string;
  balance_nano: string;
}

export function toBooked(row: BookedRow): BookedSettlement {
  return { shortfallNano: BigInt(row.shortfall_nano), balanceNano: BigInt(row.balance_nano) };
}

/** Of requests that held of a lease. */
export function leasedStatementFor(batch: Batch): Statement {
  const holds = toTextArray(batch.map(({ record }) => record.id));
  const users = toTextArray(new Set(batch.map(({ record }) => record.user_id)));
  const leases = toTextArray(new Set(batch.map(({ record }) => record.lease_id ?? '')));
  return [SETTLE_LEASED, [toArray(batch), holds, users, leases]];
}

/** Of requests with a hold of their own. */
export function statementFor(batch: Batch): Statement {
  const [only] = batch;
  if (only && batch.length === 1 && !only.record.unknown) return [SETTLE_ONE, parametersOf(only.record)];
  const holds = toTextArray(batch.map(({ record }) => record.id));
  const users = toTextArray(new Set(batch.map(({ record }) => record.user_id)));
  return [SETTLE_BATCH, [toArray(batch), holds, users]];
}

function parametersOf(record: SettlementRecord): unknown[] {
  return [
    record.id,
    record.release,
    record.cost,
    record.chargeable,
    record.outcome,
    JSON.stringify(record.attempts),
    record.usage ? JSON.stringify(record.usage) : null,
    record.source ?? null,
    record.provider ?? null,
    record.upstream_model ?? null,
    record.price_version ?? null,
    record.price_factor ?? null,
    record.description,
  ];
}

/** Serialised again, all at once: that costs less than to keep each journal line's text until it is booked. */
export function toArray(batch: Batch): string {
  return JSON.stringify(batch.map(({ record }) => record));
}
