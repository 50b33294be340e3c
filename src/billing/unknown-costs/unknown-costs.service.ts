import { GatewayError } from '@app/contracts';
import { exactJsonNumber, type ExactJsonNumber, formatNano, type NanoUsd } from '@app/money';
import { Injectable } from '@nestjs/common';
import { DatabaseService } from '../../database/database.service.js';
import { AccountsService } from '../accounts/accounts.service.js';
import { Leases } from '../leases/leases.service.js';
import { MoneyDatabase } from '../money-database.js';
import type { Page, Period } from '../reports/reports.service.js';
import { transactionId } from '../transaction-id.js';
import { FIND_UNKNOWN_COST, listUnknownCosts, RECONCILE } from './unknown-cost-statements.js';

/** A call that was sent and never charged, since nobody knows what it cost; and what became of it. */
export interface UnknownCostView {
  readonly id: string;
  /** Names the request's receipt. */
  readonly billing_id: string;
  /** Which of the request's attempts it was. */
  readonly attempt: number;
  readonly request_id: string;
  readonly user_id: string;
  readonly provider: string;
  readonly upstream_model: string;
  /** The provider's own id, if it gave one. */
  readonly provider_request_id: string | null;
  readonly reason: string;
  readonly timestamp: string;
  readonly reconciled_at: string | null;
  /** What the user was charged; 0 when it was written off. */
  readonly amount: ExactJsonNumber | null;
  readonly description: string | null;
  readonly actor: string | null;
  /** The ledger's row. */
  readonly transaction_id: string | null;
}

export interface Reconciliation extends UnknownCostView {
  readonly balance_after: ExactJsonNumber | null;
  /** True when the same was decided before. */
  readonly replayed: boolean;
}

export interface ReconciliationOrder {
  readonly id: string;
  /** 0 writes it off. */
  readonly amountNano: NanoUsd;
  readonly description: string | undefined;
  readonly actor: string;
}

export interface UnknownCostFilter extends Page {
  readonly isReconciled: boolean | undefined;
  readonly userId: string | undefined;
  readonly provider: string | undefined;
  readonly period: Period;
}

const ID = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(\d{1,9})$/;

/** Calls that a provider may send a bill for and no user has paid: for an administrator to charge or to write off. */
@Injectable()
export class UnknownCostsService {
  constructor(
    private readonly money: MoneyDatabase,
    private readonly database: DatabaseService,
    private readonly accounts: AccountsService,
    private readonly leases: Leases,
  ) {}

  async list(filter: UnknownCostFilter): Promise<{ unknown_costs: UnknownCostView[]; total: number }> {
    const { isReconciled, userId, provider, period, limit, offset } = filter;
    const parameters = [userId ?? null, provider ?? null, period.from, period.to, limit, offset];
    const sql = listUnknownCosts(isReconciled);
    const [page] = await this.database.patient.query<UnknownCostPage>(sql, parameters);
    return { unknown_costs: (page?.rows ?? []).map(toView), total: page?.total ?? 0 };
  }

  /**
   * Charges the call or writes it off, once. The same again is answered with what was decided.
   *
   * @throws GatewayError `not_found`; `idempotency_conflict` when another amount was decided before; `invalid_body` when the
   *         account has not that much free
   */
  async reconcile(order: ReconciliationOrder): Promise<Reconciliation> {
    const known = await this.#find(order.id);
    if (isReconciled(known)) return again(known, order.amountNano);
    const { hold_id, attempt, user_id: userId, request_id } = known;
    const description = order.description ?? `Reconciliation of ${request_id}`;
    const write = async (): Promise<FoundRow | undefined> => {
      const parameters = [hold_id, attempt, order.amountNano.toString(), description, order.actor];
      const [row] = await this.money.query<FoundRow>(RECONCILE, parameters);
      return row;
    };
    const row = (await write()) ?? (await this.#writeAfterRecall(userId, order.amountNano, write));
    if (row) return toReconciliation(row, false);
    const now = await this.#find(order.id);
    if (isReconciled(now)) return again(now, order.amountNano);
    const { availableNano } = await this.accounts.require(userId);
    const message = `The account has only ${formatNano(availableNano)} free. Charge less; the rest is written off.`;
    throw new GatewayError('invalid_body', message, { param: 'amount' });
  }

  /** Leased money is available, as for an adjustment. */
  async #writeAfterRecall(
    userId: string,
    amountNano: NanoUsd,
    write: () => Promise<FoundRow | undefined>,
  ): Promise<FoundRow | undefined> {
    if (amountNano === 0n) return undefined;
    const { balanceNano } = await this.accounts.require(userId);
    return balanceNano >= amountNano ? this.leases.recallAndRetry(userId, write) : undefined;
  }

  async #find(id: string): Promise<FoundRow> {
    const [, holdId, attempt] = ID.exec(id) ?? [];
    const [row] = holdId ? await this.money.query<FoundRow>(FIND_UNKNOWN_COST, [holdId, attempt]) : [];
    if (!row) throw new GatewayError('not_found', 'There is no such call.', { param: 'id' });
    return row;
  }
}

interface UnknownCostRow {
  hold_id: string;
  attempt: number;
  request_id: string;
  user_id: string;
  provider: string;
  upstream_model: string;
  provider_request_id: string | null;
  reason: string;
  created_at: Date | string;
  reconciled_at: Date | string | null;
  reconciled_nano: string | null;
  reconciled_by: string | null;
  reconciled_because: string | null;
  entry_id: string | null;
}

interface UnknownCostPage {
  rows: UnknownCostRow[];
  total: number;
}

interface FoundRow extends UnknownCostRow {
  /** Of the ledger's row that charges it. */
  charged_nano?: string | null;
  balance_after_nano: string | null;
}

const isReconciled = (row: FoundRow): boolean => row.reconciled_at !== null || row.charged_nano != null;

/** @throws GatewayError `idempotency_conflict` when it was another decision */
function again(row: FoundRow, amountNano: NanoUsd): Reconciliation {
  const decided = row.charged_nano ?? row.reconciled_nano;
  if (decided !== null && BigInt(decided) === amountNano) return toReconciliation(row, true);
  const how = decided === null ? 'by hand' : `with ${formatNano(BigInt(decided))}`;
  throw new GatewayError('idempotency_conflict', `This call was already reconciled, ${how}.`, {
    param: 'amount',
  });
}

function toReconciliation(row: FoundRow, replayed: boolean): Reconciliation {
  const { balance_after_nano: balance } = row;
  return {
    ...toView(row),
    balance_after: balance === null ? null : exactJsonNumber(BigInt(balance)),
    replayed,
  };
}

function toView(row: UnknownCostRow): UnknownCostView {
  const { reconciled_at, reconciled_nano } = row;
  return {
    id: `${row.hold_id}-${row.attempt}`,
    billing_id: row.hold_id,
    attempt: row.attempt,
    request_id: row.request_id,
    user_id: row.user_id,
    provider: row.provider,
    upstream_model: row.upstream_model,
    provider_request_id: row.provider_request_id,
    reason: row.reason,
    timestamp: new Date(row.created_at).toISOString(),
    reconciled_at: reconciled_at === null ? null : new Date(reconciled_at).toISOString(),
    amount: reconciled_nano === null ? null : exactJsonNumber(BigInt(reconciled_nano)),
    description: row.reconciled_because,
    actor: row.reconciled_by,
    transaction_id: row.entry_id === null ? null : transactionId(row.entry_id),
  };
}
