import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import { type } from 'arktype';
import * as v from 'valibot';
import { defineParticipant, operation } from '@concordat/client';
import type { PostgresContext } from '@concordat/participant';
import { ConcordatParticipantModule } from './concordat-participant.module.js';
import { ConcordatTransport } from './concordat-transport.js';
import { TransactionOperation } from './transaction-operation.decorator.js';

const trimmed = v.pipe(v.string(), v.trim(), v.minLength(1));

const bank = defineParticipant('bank', {
  withValibot: operation({
    payload: v.strictObject({ account: trimmed, at: v.pipe(v.string(), v.isoTimestamp(), v.toDate()) }),
    result: v.object({ balance: v.number() }),
  }),
  withArktype: operation({
    payload: type({ account: 'string.trim', at: 'string.date.iso.parse', '+': 'reject' }),
    result: type({ balance: 'number' }),
  }),
});

@Injectable()
class Accounts {
  @TransactionOperation(bank.withValibot)
  withValibot({ account, at }: { account: string; at: Date }): { balance: number } {
    return { balance: account.length + at.getTime() };
  }

  @TransactionOperation(bank.withArktype)
  withArktype({ account, at }: { account: string; at: Date }): { balance: number } {
    return { balance: account.length + at.getTime() };
  }

  @TransactionOperation('valibot', { schema: v.strictObject({ account: trimmed }) })
  valibot({ account }: { account: string }): string {
    return account;
  }

  @TransactionOperation('arktype', { schema: type({ account: 'string.trim' }) })
  arktype({ account }: { account: string }): string {
    return account;
  }
}

/** What the compiler refuses; never a provider. */
export class Refused {
  // @ts-expect-error the handler gets a Date
  @TransactionOperation(bank.withValibot)
  valibot({ at }: { at: string }): { balance: number } {
    return { balance: at.length };
  }

  // @ts-expect-error the result is a number
  @TransactionOperation(bank.withArktype)
  arktype(): { balance: string } {
    return { balance: 'much' };
  }
}

@Module({ imports: [ConcordatParticipantModule.forTesting()], providers: [Accounts] })
class RootModule {}

describe.each(['valibot', 'arktype'] as const)('a schema of %s', (library) => {
  const contract = library === 'valibot' ? bank.withValibot : bank.withArktype;

  async function handle(operationName: string, payload: unknown): Promise<unknown> {
    const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
    const transport = app.get(ConcordatTransport);
    transport.serve();
    return transport.handle({ operation: operationName, payload: payload as never, keys: [] }, {} as PostgresContext);
  }

  it('parses the payload of an operation', async () => {
    expect(await handle(library, { account: ' acc-1 ' })).toBe('acc-1');
  });

  it('gives handler and client of a contract their types', async () => {
    const { payload } = contract({ account: ' acc-1 ', at: '1970-01-01T00:00:00.100Z' });
    expect(await handle(contract.operation, payload)).toEqual({ balance: 105 });
    // @ts-expect-error the schema takes the time as a text
    expect(contract({ account: 'acc-1', at: new Date(0) })).toBeDefined();
  });

  it('refuses with the place of the mistake', async () => {
    for (const [name, wrong] of [
      [library, { account: 7 }],
      [contract.operation, { account: 'a', at: 'soon' }],
      [contract.operation, { account: 'a', at: '1970-01-01T00:00:00.100Z', color: 'red' }],
    ] as const) {
      const place = 'color' in wrong ? 'color' : 'at' in wrong ? 'at' : 'account';
      await expect(handle(name, wrong)).rejects.toMatchObject({
        code: 'INVALID_PAYLOAD',
        message: expect.stringContaining(place),
      });
    }
  });
});
