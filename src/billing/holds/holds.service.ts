import type { NanoUsd } from '@app/money';
import { Inject, Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { AccountsService } from '../accounts/accounts.service.js';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { MoneyDatabase, retryOnce, SQL_STATE, sqlStateOf } from '../money-database.js';
import { Leases } from '../leases/leases.service.js';
import { NaturalBatcher } from '../natural-batcher.js';
import { toTextArray } from '../text-array.js';
import { Settler } from '../settle/settler.service.js';
import { GatewayInstance } from '../upkeep/gateway-instance.service.js';
import { type Grant, type GrantRow, type HoldOrder, toGrant } from './hold-order.js';
import { EXPLAIN_HOLD, EXTEND_HOLD, HOLD_BATCH, HOLD_ONE, HOLD_SIMPLE } from './hold-statements.js';
import { type AccountMoney, balanceReserved, freeOf, insufficientBalance, keyTaken } from './refused-hold.js';

/** Beyond some fifty rows a statement costs more than it saves. */
const BATCH_SIZE = 50;
/** Two, so that one account that is locked elsewhere does not stop everybody. */
const BATCHES_IN_FLIGHT = 2;
/** Each round removes one reason for a refusal (no account yet, money on its way); more rounds mean a busy account. */
const MOST_ROUNDS = 8;
const DRAIN_LIMIT_MS = 500;
/** Within this other instances normally settle. */
const OTHERS_SETTLE_MS = 150;

/** Reserves money and says, when it can't, exactly why. */
@Injectable()
export class HoldsService {
  readonly #batcher = new NaturalBatcher<HoldOrder, Grant>((orders) => this.#holdBatch(orders), {
    batchSize: BATCH_SIZE,
    inFlight: BATCHES_IN_FLIGHT,
  });

  constructor(
    private readonly database: MoneyDatabase,
    private readonly accounts: AccountsService,
    private readonly settler: Settler,
    private readonly leases: Leases,
    private readonly instance: GatewayInstance,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /**
   * Reserves. One statement, shared with whoever asks at the same moment; more only when it gives no money.
   *
   * @throws GatewayError `insufficient_balance`, `balance_reserved`, `idempotency_conflict`, `database_unavailable`
   */
  hold(order: HoldOrder): Promise<Grant> {
    return this.#batcher.add(order);
  }

  /** Reserves more for a hold that is open. False when the account has not enough, or the hold is not open any more. */
  async extend(billingId: string, byNano: NanoUsd): Promise<boolean> {
    const rows = await retryOnce(() => this.database.query(EXTEND_HOLD, [billingId, byNano.toString()]));
    return rows.length > 0;
  }

  async #holdBatch(orders: readonly HoldOrder[]): Promise<(Grant | Promise<Grant>)[]> {
    const [only] = orders;
    if (only && orders.length === 1) return [(await this.#holdSimply(only)) ?? this.#holdPatiently(only)];
    const input = JSON.stringify(orders.map(toRow));
    const users = toTextArray(new Set(orders.map((order) => order.userId)));
    const parameters = [input, users, this.instance.id, this.config.billing.holdTtlMs];
    const rows = await retryOnce(() => this.database.query<GrantRow>(HOLD_BATCH, parameters));
    const grants = new Map<string, Grant>();
    for (const row of rows) grants.set(row.id, toGrant(row));
    return orders.map((order) => grants.get(order.billingId) ?? this.#holdPatiently(order));
  }

  /** @returns `undefined` when the account has not enough, or the hold or its key is there already */
  async #holdSimply(order: HoldOrder): Promise<Grant | undefined> {
    const parameters = [
      order.takeNano.toString(),
      order.userId,
      order.needNano.toString(),
      order.billingId,
      order.requestId,
      order.model,
      order.stream,
      JSON.stringify(order.targets),
      order.boundNano.toString(),
      this.instance.id,
      order.idempotency?.key ?? null,
      order.idempotency?.fingerprintHex ?? null,
      this.config.billing.holdTtlMs,
    ];
    try {
      const [row] = await retryOnce(() => this.database.query<GrantRow>(HOLD_SIMPLE, parameters));
      return row && toGrant(row);
    } catch (error) {
      // The hold or its key is there already: the explanation says which.
      if (sqlStateOf(error) === SQL_STATE.uniqueViolation) return undefined;
      throw error;
    }
  }

  /** "No row" is ambiguous, so every round looks first, removes what can be removed, and tries again. */
  async #holdPatiently(order: HoldOrder): Promise<Grant> {
    let hasWaited = false;
    let isRecalled = false;
    for (let round = 0; round < MOST_ROUNDS; round += 1) {
      const { account, ownGrant, isKeyTaken, isLeasedElsewhere } = await this.#explain(order);
      if (ownGrant) return ownGrant;
      if (isKeyTaken) throw keyTaken();
      const { userId, needNano, takeNano } = order;
      if (!account) await this.accounts.open([userId]);
      else if (freeOf(account) < needNano) {
        if (account.balanceNano < needNano) throw insufficientBalance(needNano, account);
        // In each round: what one instance gave back, another may just have been granted.
        if (isLeasedElsewhere) await this.leases.recallElsewhere(userId);
        const isMoneyComing =
          (await this.leases.recall(userId)) ||
          (await this.settler.drain({ userId, timeoutMs: DRAIN_LIMIT_MS }));
        if (!isMoneyComing) {
          if (hasWaited && !isLeasedElsewhere) throw balanceReserved(needNano, account);
          await sleep(OTHERS_SETTLE_MS);
          hasWaited = true;
        }
      } else if (!isRecalled && freeOf(account) < takeNano) {
        // Less would do, but it lowers the answer's limit.
        await this.leases.freeAfterRecall(userId, takeNano);
        isRecalled = true;
      }
      const input = JSON.stringify([toRow(order)]);
      const parameters = [input, userId, this.instance.id, this.config.billing.holdTtlMs];
      const [row] = await retryOnce(() => this.database.query<GrantRow>(HOLD_ONE, parameters));
      if (row) return toGrant(row);
    }
    const { account = { balanceNano: 0n, heldNano: 0n } } = await this.#explain(order);
    throw balanceReserved(order.needNano, account);
  }

  async #explain(order: HoldOrder): Promise<Explanation> {
    const parameters = [order.userId, order.billingId, order.idempotency?.key ?? null, this.instance.id];
    const [row] = await this.database.query<ExplainRow>(EXPLAIN_HOLD, parameters);
    if (!row) throw new Error('the explanation of a refused hold is one row, always');
    const account =
      row.balance_nano === null || row.held_nano === null
        ? undefined
        : { balanceNano: BigInt(row.balance_nano), heldNano: BigInt(row.held_nano) };
    const ownAmount = row.own_state === 'open' ? BigInt(row.own_amount_nano ?? 0) : undefined;
    return {
      account,
      isKeyTaken: row.key_taken,
      isLeasedElsewhere: row.leased_elsewhere,
      ownGrant: ownAmount === undefined ? undefined : { amountNano: ownAmount, freeNano: ownAmount },
    };
  }
}

/** A hold as the batch statements take it. */
function toRow(order: HoldOrder): Record<string, unknown> {
  return {
    id: order.billingId,
    request_id: order.requestId,
    user_id: order.userId,
    model: order.model,
    stream: order.stream,
    targets: order.targets,
    take: order.takeNano.toString(),
    need: order.needNano.toString(),
    bound: order.boundNano.toString(),
    idem_key: order.idempotency?.key,
    fingerprint: order.idempotency?.fingerprintHex,
  };
}

interface Explanation {
  readonly account: AccountMoney | undefined;
  readonly isKeyTaken: boolean;
  /** Other instances have leases of this user. */
  readonly isLeasedElsewhere: boolean;
  /** This very hold exists: the answer to an earlier attempt was lost. */
  readonly ownGrant: Grant | undefined;
}

interface ExplainRow {
  balance_nano: string | null;
  held_nano: string | null;
  own_state: string | null;
  own_amount_nano: string | null;
  key_taken: boolean;
  leased_elsewhere: boolean;
}
