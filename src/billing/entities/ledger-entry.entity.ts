import type { Usage } from '@app/contracts';
import { Column, Entity, PrimaryColumn } from 'typeorm';
import { nanoColumn } from './nano-column.js';

export type LedgerKind = 'grant' | 'topup' | 'charge' | 'refund' | 'adjustment';

/** Where the other half of the entry went. House accounts are sums over the ledger, never rows. */
export type CounterAccount = 'promotion' | 'deposits' | 'revenue' | 'adjustments';

/** Who counted: the provider, our tokenizer, or the last progress note of a stream whose gateway died. */
export type UsageSource = 'provider' | 'own' | 'progress';

/** One movement of money: `userId` by `amountNano`, `counterAccount` by the opposite. Never changed, never deleted. */
@Entity('ledger')
export class LedgerEntry {
  /** Of a charge: the id of its hold. */
  @PrimaryColumn({ type: 'uuid' })
  readonly id: string;

  @Column({ type: 'bigint' })
  readonly seq: string;

  @Column({ name: 'user_id', type: 'text' })
  readonly userId: string;

  @Column({ type: 'text' })
  readonly kind: LedgerKind;

  @Column({ name: 'counter_account', type: 'text' })
  readonly counterAccount: CounterAccount;

  /** Negative when it left the user's account. */
  @Column(nanoColumn('amount_nano'))
  readonly amountNano: bigint;

  @Column(nanoColumn('balance_after_nano'))
  readonly balanceAfterNano: bigint;

  @Column({ type: 'text' })
  readonly description: string;

  @Column({ name: 'hold_id', type: 'uuid', nullable: true })
  readonly holdId: string | null;

  @Column({ name: 'request_id', type: 'text', nullable: true })
  readonly requestId: string | null;

  @Column({ type: 'text', nullable: true })
  readonly model: string | null;

  @Column({ type: 'text', nullable: true })
  readonly provider: string | null;

  @Column({ name: 'upstream_model', type: 'text', nullable: true })
  readonly upstreamModel: string | null;

  @Column({ type: 'jsonb', nullable: true })
  readonly usage: Usage | null;

  @Column({ name: 'usage_source', type: 'text', nullable: true })
  readonly usageSource: UsageSource | null;

  @Column({ name: 'price_version', type: 'text', nullable: true })
  readonly priceVersion: string | null;

  /** Decimal that the price was multiplied by (answers from the cache); null = 1. */
  @Column({ name: 'price_factor', type: 'text', nullable: true })
  readonly priceFactor: string | null;

  @Column({ name: 'idempotency_key', type: 'text', nullable: true })
  readonly idempotencyKey: string | null;

  /** The administrator who booked it. */
  @Column({ type: 'text', nullable: true })
  readonly actor: string | null;

  @Column({ name: 'created_at', type: 'timestamptz' })
  readonly createdAt: Date;
}
