import type { Usage } from '@app/contracts';
import {
  type PriceCard,
  priceCardFromJson,
  type PriceCardJson,
  priceUsage,
  priceVersionOf,
} from '@app/money';
import type { DataSource } from 'typeorm';
import { type Read, readPatiently } from '../../database/read-patiently.js';
import { scaledCost } from '../session/charge-calculator.js';
import {
  AUDIT_CHECKS,
  BEFORE_ALL_CHARGES,
  CHARGES_TO_RECOMPUTE,
  COUNT_CHECKED,
  firstOf,
  PRICE_CARDS,
} from './audit-statements.js';

export const RECOMPUTED_CHECK = 'charge_is_usage_times_price';
const PAGE = 1000;
/** A check of a large ledger takes longer than a request's statement may. */
const READ_TIMEOUT_MS = 60 * 60_000;

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
  /** How many mismatches of each check to return. */
  readonly examples?: number;
  /** Work out every charge again, which takes this process a while. */
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
  return readPatiently(dataSource, 'audit', READ_TIMEOUT_MS, async (read) => {
    const findings = new Map<string, Finding>();
    for (const [check, sql] of Object.entries(AUDIT_CHECKS)) {
      // At least one: each row has the number of all.
      const rows = await read<MismatchRow>(firstOf(sql), [Math.max(1, examples)]);
      const mismatches = rows.map(({ subject, detail }) => ({ check, subject: subject ?? '', detail }));
      findings.set(check, { count: rows[0]?.count ?? 0, mismatches });
    }
    if (recompute) findings.set(RECOMPUTED_CHECK, await recomputeCharges(read, examples));
    const [checked] = await read<LedgerAudit['checked']>(COUNT_CHECKED);
    return {
      ok: [...findings.values()].every(({ count }) => count === 0),
      checked: checked ?? { accounts: 0, entries: 0, charges: 0, open_holds: 0 },
      checks: Object.fromEntries([...findings].map(([check, { count }]) => [check, count])),
      mismatches: [...findings.values()].flatMap(({ mismatches }) => mismatches.slice(0, examples)),
    };
  });
}

interface MismatchRow {
  subject: string | null;
  detail: string;
  count: number;
}

/** All mismatches are counted, and only the first kept: books that are wrong everywhere must not fill the memory. */
interface Finding {
  readonly count: number;
  readonly mismatches: readonly AuditMismatch[];
}

interface ChargeRow {
  id: string;
  amount_nano: string;
  usage: Usage | null;
  price_version: string | null;
  price_factor: string | null;
  shortfall_nano: string | null;
}

interface CardRow {
  id: string;
  card: PriceCardJson;
}

async function recomputeCharges(read: Read, examples: number): Promise<Finding> {
  const check = RECOMPUTED_CHECK;
  const mismatches: AuditMismatch[] = [];
  const cards = new Map((await read<CardRow>(PRICE_CARDS)).map(({ id, card }) => [id, readCard(id, card)]));
  let count = 0;
  for (let after = BEFORE_ALL_CHARGES; ;) {
    const rows = await read<ChargeRow>(CHARGES_TO_RECOMPUTE, [after, PAGE]);
    for (const row of rows) {
      const detail = faultOf(row, cards);
      if (detail === undefined) continue;
      count += 1;
      if (mismatches.length < examples) mismatches.push({ check, subject: row.id, detail });
    }
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return { count, mismatches };
    after = last.id;
  }
}

/** @returns `undefined` when it is not what its address says */
function readCard(version: string, json: PriceCardJson): PriceCard | undefined {
  const card = priceCardFromJson(json);
  return priceVersionOf(card) === version ? card : undefined;
}

function faultOf(row: ChargeRow, cards: ReadonlyMap<string, PriceCard | undefined>): string | undefined {
  const { usage, price_version: version } = row;
  if (!usage || version === null || !cards.has(version)) return 'usage or price version is missing';
  const card = cards.get(version);
  if (!card) return 'the price version is not the address of its card';
  const priced = priceUsage(card, usage);
  const cost = row.price_factor === null ? priced.costNano : scaledCost(priced.costPico, row.price_factor);
  const booked = BigInt(row.shortfall_nano ?? 0) - BigInt(row.amount_nano);
  return cost === booked ? undefined : `charge and shortfall are ${booked}, usage × price is ${cost}`;
}
