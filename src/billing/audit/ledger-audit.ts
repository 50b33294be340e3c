import type { Usage } from '@app/contracts';
import { priceCardFromJson, type PriceCardJson, priceUsage, priceVersionOf } from '@app/money';
import type { DataSource, EntityManager } from 'typeorm';
import type { Telemetry } from '../../telemetry/telemetry.js';
import { scaledCost } from '../session/charge-calculator.js';
import { AUDIT_CHECKS, CHARGES_TO_RECOMPUTE, COUNT_CHECKED } from './audit-statements.js';

const PAGE = 1000;

export interface AuditMismatch {
  readonly check: string;
  /** A user, or a row's id. */
  readonly subject: string;
  readonly detail: string;
}

export interface LedgerAudit {
  readonly ok: boolean;
  readonly checked: {
    readonly accounts: number;
    readonly entries: number;
    readonly charges: number;
    readonly open_holds: number;
  };
  /** Mismatches by check; 0 for each that holds. */
  readonly checks: Readonly<Record<string, number>>;
  /** The first ones of each check. */
  readonly mismatches: readonly AuditMismatch[];
}

export interface AuditOptions {
  /** Mismatches to show of each check. */
  readonly examples?: number;
  /** Work out every charge anew, which takes this process a while. */
  readonly recompute?: boolean;
}

/**
 * Does the money add up? Every balance is the sum of its ledger, every hold is accounted for, and every charge is its
 * usage × its price version, to the last digit. Reads one snapshot, so traffic may go on meanwhile.
 */
export function runLedgerAudit(
  dataSource: DataSource,
  { examples = 20, recompute = true }: AuditOptions = {},
): Promise<LedgerAudit> {
  return dataSource.transaction('REPEATABLE READ', async (manager) => {
    // A full audit of a large ledger takes longer than a request's statement may.
    await manager.query('SET TRANSACTION READ ONLY');
    await manager.query('SET LOCAL statement_timeout = 0');
    const findings: [string, readonly AuditMismatch[]][] = [];
    for (const [check, sql] of Object.entries(AUDIT_CHECKS)) {
      const rows = await manager.query<{ subject: string | null; detail: string }[]>(sql);
      findings.push([check, rows.map(({ subject, detail }) => ({ check, subject: subject ?? '', detail }))]);
    }
    if (recompute) findings.push(['charge_is_usage_times_price', await recomputeCharges(manager)]);
    const [checked] = await manager.query<LedgerAudit['checked'][]>(COUNT_CHECKED);
    return {
      ok: findings.every(([, mismatches]) => mismatches.length === 0),
      checked: checked ?? { accounts: 0, entries: 0, charges: 0, open_holds: 0 },
      checks: Object.fromEntries(findings.map(([check, mismatches]) => [check, mismatches.length])),
      mismatches: findings.flatMap(([, mismatches]) => mismatches.slice(0, examples)),
    };
  });
}

/** Tells telemetry of each check, also of those that hold: an alarm has to end. */
export function reportAudit(telemetry: Telemetry, { checks }: LedgerAudit): void {
  for (const [check, count] of Object.entries(checks)) {
    telemetry.event({ kind: 'audit-mismatch', check, count });
  }
}

interface ChargeRow {
  seq: string;
  id: string;
  amount_nano: string;
  usage: Usage | null;
  price_version: string | null;
  price_factor: string | null;
  shortfall_nano: string | null;
  card: PriceCardJson | null;
}

async function recomputeCharges(manager: EntityManager): Promise<AuditMismatch[]> {
  const mismatches: AuditMismatch[] = [];
  for (let after = '-1'; ;) {
    const rows = await manager.query<ChargeRow[]>(CHARGES_TO_RECOMPUTE, [after, PAGE]);
    for (const row of rows) {
      const detail = faultOf(row);
      if (detail !== undefined)
        mismatches.push({ check: 'charge_is_usage_times_price', subject: row.id, detail });
    }
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return mismatches;
    after = last.seq;
  }
}

function faultOf(row: ChargeRow): string | undefined {
  if (!row.usage || !row.card) return 'usage or price version is missing';
  const card = priceCardFromJson(row.card);
  if (priceVersionOf(card) !== row.price_version) return 'the price version is not the address of its card';
  const priced = priceUsage(card, row.usage);
  const cost = row.price_factor === null ? priced.costNano : scaledCost(priced.costPico, row.price_factor);
  const booked = BigInt(row.shortfall_nano ?? 0) - BigInt(row.amount_nano);
  return cost === booked ? undefined : `charge and shortfall are ${booked}, usage × price is ${cost}`;
}
