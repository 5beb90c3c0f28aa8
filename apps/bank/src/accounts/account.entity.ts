import { Column, Entity, PrimaryColumn, type ValueTransformer } from 'typeorm';

/** `pg` returns bigint as text; every balance is an exact number, see `BALANCE_OVERFLOW`. */
const asNumber: ValueTransformer = {
  to: (value: number) => value,
  from: (value: string) => Number(value),
};

@Entity('account')
export class Account {
  @PrimaryColumn('text')
  id: string;

  /** minor units, 0..2^53-1 */
  @Column('bigint', { transformer: asNumber })
  balance: number;
}
