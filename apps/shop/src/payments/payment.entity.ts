import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('payment')
export class Payment {
  @PrimaryColumn('uuid')
  orderId: string;

  @Column('text')
  customer: string;

  /** in cents */
  @Column('integer')
  amount: number;
}
