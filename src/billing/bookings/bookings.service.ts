import { GatewayError } from '@app/contracts';
import { formatNano, type NanoUsd } from '@app/money';
import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { AccountsService } from '../accounts/accounts.service.js';
import { Leases } from '../leases/leases.service.js';
import { MoneyDatabase, SQL_STATE, sqlStateOf } from '../money-database.js';
import { BOOK_ENTRY, BOOK_REFUND, FIND_BY_KEY, FIND_CHARGE_AND_REFUND } from './booking-statements.js';

/** A row of the ledger that an administrator made. */
export interface Booking {
  readonly id: string;
  readonly userId: string;
  readonly amountNano: NanoUsd;
  readonly balanceAfterNano: NanoUsd;
  readonly createdAt: Date;
  /** True when the same idempotency key had booked it before. */
  readonly isReplay: boolean;
}

export interface BookingOrder {
  readonly userId: string;
  readonly kind: 'topup' | 'adjustment';
  readonly amountNano: NanoUsd;
  readonly description: string;
  readonly idempotencyKey: string | undefined;
  readonly actor: string;
}

/** Money that administrators move: top-ups, adjustments, refunds. Every one is a row of the ledger, none is undone. */
@Injectable()
export class BookingsService {
  constructor(
    private readonly database: MoneyDatabase,
    private readonly accounts: AccountsService,
    private readonly leases: Leases,
  ) {}

  /**
   * @throws GatewayError `idempotency_mismatch` when the key booked another amount; `invalid_body` when a negative
   *         adjustment is more than the account has free
   */
  async book(order: BookingOrder): Promise<Booking> {
    const { balanceNano } = await this.accounts.require(order.userId);
    const isTopup = order.kind === 'topup';
    const parameters = [
      randomUUID(),
      order.userId,
      order.kind,
      isTopup ? 'deposits' : 'adjustments',
      order.amountNano.toString(),
      order.description,
      order.idempotencyKey ?? null,
      order.actor,
    ];
    let row = await this.#write<BookingRow>(BOOK_ENTRY, parameters);
    // Leased money is available: it is recalled, and waited for. Judged by the balance, since what requests elsewhere hold of
    // the leases is known with some seconds' delay.
    if (!row && order.amountNano < 0n && balanceNano + order.amountNano >= 0n)
      row = await this.leases.recallAndRetry(order.userId, () =>
        this.#write<BookingRow>(BOOK_ENTRY, parameters),
      );
    return row ? toBooking(row, order.userId, false) : this.#explain(order);
  }

  async #write<Row>(statement: string, parameters: readonly unknown[]): Promise<Row | undefined> {
    try {
      const [row] = await this.database.query<Row>(statement, [...parameters]);
      return row;
    } catch (error) {
      if (sqlStateOf(error) !== SQL_STATE.numericOutOfRange) throw error;
      throw new GatewayError('invalid_body', 'The balance would be more than an account can hold.', {
        param: 'amount',
      });
    }
  }

  /**
   * Gives a charge back, once. The same refund again is answered with the one that was booked.
   *
   * @param amountNano  `undefined` = the whole charge
   * @throws GatewayError `not_found` when nothing was charged; `invalid_body` when the amount is more than the charge;
   *         `idempotency_conflict` when another amount was refunded before
   */
  async refund(
    holdId: string,
    amountNano: NanoUsd | undefined,
    reason: string,
    actor: string,
  ): Promise<Booking> {
    const parameters = [randomUUID(), holdId, amountNano?.toString() ?? null, reason, actor];
    const row = await this.#write<RefundRow>(BOOK_REFUND, parameters);
    return row ? toBooking(row, row.user_id, false) : this.#explainRefund(holdId, amountNano);
  }

  async #explainRefund(holdId: string, amountNano: NanoUsd | undefined): Promise<Booking> {
    const rows = await this.database.query<RefundRow & { kind: string }>(FIND_CHARGE_AND_REFUND, [holdId]);
    const refund = rows.find((row) => row.kind === 'refund');
    const charge = rows.find((row) => row.kind === 'charge');
    if (refund && (amountNano === undefined || BigInt(refund.amount_nano) === amountNano)) {
      return toBooking(refund, refund.user_id, true);
    }
    if (refund) {
      const before = formatNano(BigInt(refund.amount_nano));
      throw new GatewayError('idempotency_conflict', `This request was already refunded, with ${before}.`, {
        param: 'amount',
      });
    }
    const charged = -BigInt(charge?.amount_nano ?? 0);
    if (charged === 0n) {
      throw new GatewayError('not_found', 'Nothing was charged for this request.', { param: 'request_id' });
    }
    const most = formatNano(charged);
    throw new GatewayError(
      'invalid_body',
      `A refund must be above zero and at most ${most}, the amount charged.`,
      {
        param: 'amount',
      },
    );
  }

  async #explain(order: BookingOrder): Promise<Booking> {
    if (order.idempotencyKey !== undefined) {
      const [known] = await this.database.query<BookingRow & { kind: string }>(FIND_BY_KEY, [
        order.userId,
        order.idempotencyKey,
      ]);
      if (known && known.kind === order.kind && BigInt(known.amount_nano) === order.amountNano) {
        return toBooking(known, order.userId, true);
      }
      if (known) {
        throw new GatewayError(
          'idempotency_mismatch',
          'This idempotency_key was already used for a different amount.',
          {
            param: 'idempotency_key',
          },
        );
      }
    }
    const { availableNano } = await this.accounts.require(order.userId);
    throw new GatewayError('invalid_body', `The account has only ${formatNano(availableNano)} free.`, {
      param: 'amount',
    });
  }
}

interface RefundRow extends BookingRow {
  user_id: string;
}

interface BookingRow {
  id: string;
  amount_nano: string;
  balance_after_nano: string;
  created_at: Date;
}

function toBooking(row: BookingRow, userId: string, isReplay: boolean): Booking {
  return {
    id: row.id,
    userId,
    amountNano: BigInt(row.amount_nano),
    balanceAfterNano: BigInt(row.balance_after_nano),
    createdAt: row.created_at,
    isReplay,
  };
}
