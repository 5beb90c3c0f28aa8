import { Injectable } from '@nestjs/common';
import { BranchRefusedError, TransactionOperation, type PostgresContext } from '@concordat/nestjs';
import { z } from 'zod';
import { Account } from './account.entity.js';

const account = z
  .string()
  .min(1)
  .max(128)
  .refine((id) => !/[\p{Surrogate}\0]/u.test(id), 'must contain neither NUL nor a lone surrogate');
const amount = z.int().min(1);

export const movementSchema = z.strictObject({ account, amount });
export const openSchema = z.strictObject({ account, balance: z.int().min(0) });
export const readSchema = z.strictObject({ account });

export interface Balance {
  readonly account: string;
  readonly balance: number;
}

/**
 * The operations of the demo participants; each succeeds in one round trip. Frequent statements are named, so that the
 * server plans them once per connection.
 */
@Injectable()
export class AccountOperations {
  @TransactionOperation('debit', { schema: movementSchema })
  async debit(payload: z.output<typeof movementSchema>, { client }: PostgresContext): Promise<Balance> {
    const { rows } = await client.query<{ balance: string }>({
      name: 'debit',
      text: 'UPDATE account SET balance = balance - $2 WHERE id = $1 AND balance >= $2 RETURNING balance',
      values: [payload.account, payload.amount],
    });
    const changed = rows[0];
    if (changed) return { account: payload.account, balance: Number(changed.balance) };
    const { balance } = await this.find(payload.account, client);
    throw new BranchRefusedError(
      'INSUFFICIENT_FUNDS',
      `account ${payload.account} holds ${balance}, which is less than ${payload.amount}`,
    );
  }

  @TransactionOperation('credit', { schema: movementSchema })
  async credit(payload: z.output<typeof movementSchema>, { client }: PostgresContext): Promise<Balance> {
    const { rows } = await client.query<{ balance: string }>({
      name: 'credit',
      text: `UPDATE account SET balance = balance + $2
             WHERE id = $1 AND balance <= ${Number.MAX_SAFE_INTEGER} - $2::bigint RETURNING balance`,
      values: [payload.account, payload.amount],
    });
    const changed = rows[0];
    if (changed) return { account: payload.account, balance: Number(changed.balance) };
    await this.find(payload.account, client);
    throw new BranchRefusedError(
      'BALANCE_OVERFLOW',
      `account ${payload.account} would hold more than ${Number.MAX_SAFE_INTEGER}`,
    );
  }

  @TransactionOperation('open', { schema: openSchema })
  async open(payload: z.output<typeof openSchema>, { manager }: PostgresContext): Promise<Balance> {
    const inserted = await manager
      .createQueryBuilder()
      .insert()
      .into(Account)
      .values({ id: payload.account, balance: payload.balance })
      .orIgnore()
      .returning('id')
      .execute();
    if ((inserted.raw as unknown[]).length > 0) return { account: payload.account, balance: payload.balance };
    throw new BranchRefusedError('ACCOUNT_EXISTS', `there is an account ${payload.account} already`);
  }

  @TransactionOperation('read', { schema: readSchema })
  async read(payload: z.output<typeof readSchema>, { client }: PostgresContext): Promise<Balance> {
    return this.find(payload.account, client);
  }

  private async find(id: string, client: PostgresContext['client']): Promise<Balance> {
    const { rows } = await client.query<{ balance: string }>('SELECT balance FROM account WHERE id = $1', [id]);
    const found = rows[0];
    if (!found) throw new BranchRefusedError('ACCOUNT_NOT_FOUND', `there is no account ${id}`);
    return { account: id, balance: Number(found.balance) };
  }
}
