import { Controller, Get, NotFoundException, Param, ServiceUnavailableException, UseFilters } from '@nestjs/common';
import { InjectDataSource } from '../accounts/inject-data-source.js';
import type { DataSource, Repository } from 'typeorm';
import { Account } from '../accounts/account.entity.js';
import { ProblemFilter } from './problem.filter.js';

/** Plain reads, outside of any global transaction. */
@Controller()
@UseFilters(ProblemFilter)
export class AccountsController {
  constructor(@InjectDataSource() private readonly database: DataSource) {}

  @Get('accounts')
  async list(): Promise<{ items: Account[] }> {
    return { items: await this.accounts().find({ order: { id: 'ASC' } }) };
  }

  @Get('accounts/:id')
  async get(@Param('id') id: string): Promise<Account> {
    const account = id.includes('\0') ? null : await this.accounts().findOneBy({ id });
    if (account) return account;
    throw new NotFoundException(`there is no account ${id}`, { cause: 'ACCOUNT_NOT_FOUND' });
  }

  /** A sum beyond 2^53-1 is text, because a number would not be exact. */
  @Get('total')
  async total(): Promise<{ total: number | string; accounts: number }> {
    const row = await this.accounts()
      .createQueryBuilder('account')
      .select('coalesce(sum(account.balance), 0)::text', 'total')
      .addSelect('count(*)::int', 'accounts')
      .getRawOne<{ total: string; accounts: number }>();
    const total = row?.total ?? '0';
    return { total: Number.isSafeInteger(Number(total)) ? Number(total) : total, accounts: row?.accounts ?? 0 };
  }

  private accounts(): Repository<Account> {
    if (this.database.isInitialized) return this.database.getRepository(Account);
    throw new ServiceUnavailableException('the database cannot be reached yet; try again', {
      cause: 'DATABASE_UNAVAILABLE',
    });
  }
}
