import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { AttemptReceipt, QuoteTarget } from '../billing-session.js';
import { nanoColumn } from './nano-column.js';

/**
 * `open` → `captured` | `released` by its owner; → `orphaned` by the sweep, which gives the money back. A settlement that
 * arrives after the sweep still captures.
 */
export type HoldState = 'open' | 'captured' | 'released' | 'orphaned';

/** The money reserved for one request, and what became of it. */
@Entity('hold')
export class Hold {
  @PrimaryColumn({ type: 'uuid' })
  readonly id: string;

  @Column({ name: 'request_id', type: 'text' })
  readonly requestId: string;

  @Column({ name: 'user_id', type: 'text' })
  readonly userId: string;

  @Column({ type: 'text' })
  readonly model: string;

  @Column({ type: 'boolean' })
  readonly stream: boolean;

  @Column({ type: 'jsonb' })
  readonly targets: readonly QuoteTarget[];

  @Column(nanoColumn('amount_nano'))
  readonly amountNano: bigint;

  @Column(nanoColumn('bound_nano'))
  readonly boundNano: bigint;

  @Column({ type: 'text' })
  readonly state: HoldState;

  @Column(nanoColumn('captured_nano', { nullable: true }))
  readonly capturedNano: bigint | null;

  @Column(nanoColumn('shortfall_nano', { nullable: true }))
  readonly shortfallNano: bigint | null;

  @Column({ type: 'text', nullable: true })
  readonly outcome: string | null;

  @Column({ type: 'jsonb', nullable: true })
  readonly attempts: readonly AttemptReceipt[] | null;

  @Column({ name: 'on_credit', type: 'boolean' })
  readonly onCredit: boolean;

  @Column({ name: 'instance_id', type: 'uuid' })
  readonly instanceId: string;

  @Column({ name: 'created_at', type: 'timestamptz' })
  readonly createdAt: Date;

  @Column({ name: 'expires_at', type: 'timestamptz' })
  readonly expiresAt: Date;

  @Column({ name: 'closed_at', type: 'timestamptz', nullable: true })
  readonly closedAt: Date | null;
}
