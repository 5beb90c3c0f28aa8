import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity('product')
export class Product {
  @PrimaryColumn('text')
  sku: string;

  /** in cents */
  @Column('integer')
  price: number;
}
