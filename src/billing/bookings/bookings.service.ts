import { GatewayError } from '@app/contracts';
import { formatNano, type NanoUsd } from '@app/money';
import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { AccountsService } from '../accounts/accounts.service.js';
import { MoneyDatabase } from '../money-database.js';
import { BOOK_ENTRY, BOOK_REFUND, FIND_BY_KEY } from './booking-statements.js';

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
  ) {}

  /**
   * @throws GatewayError `idempotency_mismatch` when the key booked another amount; `invalid_body` when a negative
   *         adjustment is more than the account has free
   */
  async book(order: BookingOrder): Promise<Booking> {
    await this.accounts.require(order.userId);
    const isTopup = order.kind === 'topup';
    const [row] = await this.database.query<BookingRow>(BOOK_ENTRY, [
      randomUUID(),
      order.userId,
      order.kind,
      isTopup ? 'deposits' : 'adjustments',
      order.amountNano.toString(),
      order.description,
      order.idempotencyKey ?? null,
      order.actor,
    ]);
    return row ? toBooking(row, order.userId, false) : this.#explain(order);
  }

  /**
   * @param amountNano  `undefined` = the whole charge
   * @throws GatewayError `invalid_body` when it was refunded before, or the amount is more than the charge
   */
  async refund(
    holdId: string,
    amountNano: NanoUsd | undefined,
    reason: string,
    actor: string,
  ): Promise<Booking> {
    const parameters = [randomUUID(), holdId, amountNano?.toString() ?? null, reason, actor];
    const [row] = await this.database.query<BookingRow & { user_id: string }>(BOOK_REFUND, parameters);
    if (row) return toBooking(row, row.user_id, false);
    throw new GatewayError(
      'invalid_body',
      'This request was refunded before, was not charged, or the amount is more than its charge.',
      { param: 'amount' },
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
        throw new GatewayError('idempotency_mismatch', 'This idempotency_key booked another amount before.', {
          param: 'idempotency_key',
        });
      }
    }
    const { availableNano } = await this.accounts.require(order.userId);
    throw new GatewayError('invalid_body', `The account has only ${formatNano(availableNano)} free.`, {
      param: 'amount',
    });
  }
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
