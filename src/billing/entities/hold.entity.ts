import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { AttemptReceipt } from '../billing-session.js';
import { nanoColumn } from './nano-column.js';

/** The money reserved for one request, and what became of it: the columns of a receipt. For reads only. */
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

  @Column(nanoColumn('amount_nano'))
  readonly amountNano: bigint;

  @Column(nanoColumn('bound_nano'))
  readonly boundNano: bigint;

  @Column({ type: 'text' })
  readonly state: string;

  @Column(nanoColumn('shortfall_nano'))
  readonly shortfallNano: bigint | null;

  @Column({ type: 'text' })
  readonly outcome: string | null;

  @Column({ type: 'jsonb' })
  readonly attempts: readonly AttemptReceipt[] | null;

  @Column({ name: 'on_credit', type: 'boolean' })
  readonly onCredit: boolean;

  @Column({ name: 'created_at', type: 'timestamptz' })
  readonly createdAt: Date;

  @Column({ name: 'closed_at', type: 'timestamptz' })
  readonly closedAt: Date | null;

  @Column({ name: 'expires_at', type: 'timestamptz' })
  readonly expiresAt: Date;
}
