import type { PriceCardJson } from '@app/money';
import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A price card as it was when a hold referred to it. The id is the card's content address, so a row never changes. */
@Entity('price_version')
export class PriceVersion {
  @PrimaryColumn({ type: 'text' })
  readonly id: string;

  /** Provider and model that used the card first; equal cards are one row. */
  @Column({ type: 'text' })
  readonly provider: string;

  @Column({ type: 'text' })
  readonly model: string;

  @Column({ type: 'jsonb' })
  readonly card: PriceCardJson;

  @Column({ type: 'text' })
  readonly currency: string;

  @Column({ name: 'created_at', type: 'timestamptz' })
  readonly createdAt: Date;
}
