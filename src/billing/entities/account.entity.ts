import { Column, Entity, PrimaryColumn } from 'typeorm';
import { nanoColumn } from './nano-column.js';

/** One payer. For reads: money moves through the statements in `ledger/` only. */
@Entity('account')
export class Account {
  @PrimaryColumn({ name: 'user_id', type: 'text' })
  readonly userId: string;

  /** What is left after all settled charges: the sum of the ledger, nano-units. */
  @Column(nanoColumn('balance_nano'))
  readonly balanceNano: bigint;

  /** The sum of the open holds, nano-units; at most the balance. */
  @Column(nanoColumn('held_nano'))
  readonly heldNano: bigint;

  @Column({ name: 'created_at', type: 'timestamptz' })
  readonly createdAt: Date;
}
