import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('customer')
export class Customer {
  @PrimaryColumn('text')
  name: string;

  /** what the customer may still spend, in cents; an integer beyond 32 bits is read as text */
  @Column('integer')
  credit: number;
}
