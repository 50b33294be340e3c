import { GatewayError, type Usage } from '@app/contracts';
import {
  exactJsonLiteral,
  exactJsonNumber,
  type ExactJsonNumber,
  formatPico,
  formatPicoPerMillion,
  priceCardFromJson,
  type PriceCardJson,
  priceUsage,
} from '@app/money';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { DatabaseService } from '../../database/database.service.js';
import { UUID } from '../../text/uuid.js';
import type { AttemptReceipt } from '../billing-session.js';
import { Hold } from '../entities/hold.entity.js';
import { Settler } from '../settle/settler.service.js';
import { transactionId } from '../transaction-id.js';
import { FIND_ENTRIES_OF_HOLD } from './report-statements.js';

export interface ReceiptLine {
  readonly category: string;
  readonly quantity: number;
  /** Currency units per million tokens (per million calls for tools and requests), decimal. */
  readonly unit_price_per_million: string;
  readonly amount: ExactJsonNumber;
}

/** All that is known about one request's money: enough to work out its charge again, to the last digit. */
export interface Receipt {
  readonly request_id: string;
  readonly billing_id: string;
  readonly user_id: string;
  readonly model: string;
  readonly stream: boolean;
  readonly state: string;
  readonly outcome: string | null;
  readonly created_at: string;
  readonly settled_at: string | null;
  readonly hold: {
    readonly amount: ExactJsonNumber;
    readonly worst_case: ExactJsonNumber;
    readonly on_credit: boolean;
    readonly expires_at: string;
  };
  readonly attempts: readonly AttemptView[];
  readonly settlement: {
    readonly charged: ExactJsonNumber;
    readonly shortfall: ExactJsonNumber;
    readonly refunded: ExactJsonNumber;
    readonly provider: string | null;
    readonly upstream_model: string | null;
    readonly usage: Usage | null;
    readonly usage_source: string | null;
    readonly price_version: string | null;
    readonly price_factor: string;
    readonly lines: readonly ReceiptLine[];
  } | null;
  readonly entries: readonly {
    readonly id: string;
    readonly type: string;
    readonly amount: ExactJsonNumber;
    readonly timestamp: string;
  }[];
  /** Other requests that carry the same x-request-id (clients may repeat theirs). */
  readonly same_request_id: readonly string[];
}

interface AttemptView {
  readonly provider: string;
  readonly model: string;
  readonly outcome: string;
  readonly status: number | null;
  readonly provider_request_id: string | null;
  readonly duration_ms: number;
}

@Injectable()
export class ReceiptsService {
  constructor(
    @InjectRepository(Hold) private readonly holds: Repository<Hold>,
    private readonly database: DatabaseService,
    private readonly settler: Settler,
  ) {}

  /**
   * @param requestId  `x-request-id` of the answer, or the receipt's `billing_id`
   * @param userId     whose requests may be seen; `undefined` = anybody's
   * @throws GatewayError `not_found`, the same for a foreign request and for none
   */
  async find(requestId: string, userId: string | undefined): Promise<Receipt> {
    await this.settler.drain({ userId });
    const [hold, ...others] = await this.#holdsOf(requestId, userId);
    if (!hold) throw new GatewayError('not_found', 'There is no such request.', { param: 'request_id' });
    const entries = await this.database.query<EntryRow>(FIND_ENTRIES_OF_HOLD, [hold.id]);
    return toReceipt(
      hold,
      entries,
      others.map((other) => other.id),
    );
  }

  /** The one whose own id it is, then the newest, since clients choose request ids and may repeat them. */
  async #holdsOf(requestId: string, userId: string | undefined): Promise<Hold[]> {
    const whose = userId === undefined ? {} : { userId };
    const own = UUID.test(requestId) ? [{ id: requestId, ...whose }] : [];
    try {
      return await this.holds
        .createQueryBuilder('hold')
        .where([{ requestId, ...whose }, ...own])
        .orderBy('hold.id::text = :requestId', 'DESC')
        .addOrderBy('hold.createdAt', 'DESC')
        .setParameters({ requestId })
        .limit(20)
        .getMany();
    } catch (error) {
      throw this.database.toGatewayError(error);
    }
  }
}

interface EntryRow {
  id: string;
  kind: string;
  amount_nano: string;
  usage: Usage | null;
  usage_source: string | null;
  price_version: string | null;
  price_factor: string | null;
  provider: string | null;
  upstream_model: string | null;
  created_at: Date;
  card: PriceCardJson | null;
}

const money = (nano: bigint | string | null): ExactJsonNumber => exactJsonNumber(BigInt(nano ?? 0));

function toReceipt(hold: Hold, entries: readonly EntryRow[], sameRequestId: readonly string[]): Receipt {
  return {
    request_id: hold.requestId,
    billing_id: hold.id,
    user_id: hold.userId,
    model: hold.model,
    stream: hold.stream,
    state: hold.state,
    outcome: hold.outcome,
    created_at: hold.createdAt.toISOString(),
    settled_at: hold.closedAt?.toISOString() ?? null,
    hold: {
      amount: money(hold.amountNano),
      worst_case: money(hold.boundNano),
      on_credit: hold.onCredit,
      expires_at: hold.expiresAt.toISOString(),
    },
    attempts: (hold.attempts ?? []).map(toAttempt),
    settlement: toSettlement(hold, entries),
    entries: entries.map((entry) => ({
      id: transactionId(entry.id),
      type: entry.kind,
      amount: money(entry.amount_nano),
      timestamp: entry.created_at.toISOString(),
    })),
    same_request_id: sameRequestId,
  };
}

function toAttempt(attempt: AttemptReceipt): AttemptView {
  return {
    provider: attempt.provider,
    model: attempt.upstreamModel,
    outcome: attempt.outcome,
    status: attempt.upstreamStatus ?? null,
    provider_request_id: attempt.providerRequestId ?? null,
    duration_ms: Math.round(attempt.durationMs),
  };
}

function toSettlement(hold: Hold, entries: readonly EntryRow[]): Receipt['settlement'] {
  const charge = entries.find((entry) => entry.kind === 'charge');
  if (!charge) return null;
  const refund = entries.find((entry) => entry.kind === 'refund');
  return {
    charged: exactJsonNumber(-BigInt(charge.amount_nano)),
    shortfall: money(hold.shortfallNano),
    refunded: money(refund?.amount_nano ?? null),
    provider: charge.provider,
    upstream_model: charge.upstream_model,
    usage: charge.usage,
    usage_source: charge.usage_source,
    price_version: charge.price_version,
    price_factor: charge.price_factor ?? '1',
    lines: charge.card && charge.usage ? toLines(charge.card, charge.usage) : [],
  };
}

function toLines(card: PriceCardJson, usage: Usage): ReceiptLine[] {
  return priceUsage(priceCardFromJson(card), usage).lines.map((line) => ({
    category: line.category,
    quantity: line.quantity,
    unit_price_per_million: formatPicoPerMillion(line.unitPico),
    // Finer than a nano, and exact: only their sum is rounded, once, up.
    amount: exactJsonLiteral(formatPico(line.amountPico)),
  }));
}
