import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('reservation')
export class Reservation {
  @PrimaryColumn('uuid')
  orderId: string;

  @PrimaryColumn('text')
  sku: string;

  @Column('integer')
  quantity: number;
}
