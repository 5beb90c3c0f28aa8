import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { Cart } from '../cart.js';

@Entity('shop_order')
export class Order {
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  customer: string;

  @Column('jsonb')
  lines: Cart['lines'];

  /** in cents */
  @Column('integer')
  total: number;

  @Column('text')
  status: 'placed' | 'paid';
}
