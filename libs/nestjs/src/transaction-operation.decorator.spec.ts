import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import { defineParticipant, operation } from '@concordat/client';
import type { PostgresContext } from '@concordat/participant';
import { from, type Observable } from 'rxjs';
import { z } from 'zod';
import { ConcordatParticipantModule } from './concordat-participant.module.js';
import { ConcordatTransport } from './concordat-transport.js';
import { TransactionOperation } from './transaction-operation.decorator.js';

const bankA = defineParticipant('bank-a', {
  debit: operation<{ account: string; amount: number }, { balance: number }>(),
  open: operation({
    payload: z.strictObject({ account: z.string(), at: z.iso.datetime().transform((text) => Date.parse(text)) }),
    result: z.object({ openedAt: z.number() }),
  }),
  touch: operation<{ account: string }>(),
  watch: operation<string, number>(),
});

@Injectable()
class Accounts {
  @TransactionOperation(bankA.debit)
  async debit({ amount }: { account: string; amount: number }): Promise<{ balance: number }> {
    return { balance: 100 - amount };
  }

  @TransactionOperation(bankA.open)
  open({ at }: { account: string; at: number }, context: PostgresContext): { openedAt: number } {
    expect(context).toBe(CONTEXT);
    return { openedAt: at };
  }

  @TransactionOperation(bankA.touch)
  async touch(): Promise<void> {}

  @TransactionOperation(bankA.watch)
  watch(account: string): Observable<number> {
    return from([1, account.length]);
  }

  @TransactionOperation('plain', { schema: z.strictObject({ account: z.string() }) })
  plain({ account }: { account: string }): string {
    return account;
  }
}

/** What the compiler refuses; never a provider. */
export class Refused {
  // @ts-expect-error the payload has another type
  @TransactionOperation(bankA.debit)
  otherPayload(payload: { account: number }): { balance: number } {
    return { balance: payload.account };
  }

  // @ts-expect-error the result has another type
  @TransactionOperation(bankA.debit)
  async otherResult(): Promise<{ balance: string }> {
    return { balance: 'much' };
  }

  // @ts-expect-error a contract brings its schema
  @TransactionOperation(bankA.debit, { schema: z.string() })
  withOptions(): { balance: number } {
    return { balance: 1 };
  }
}

const CONTEXT = {} as PostgresContext;

@Module({ imports: [ConcordatParticipantModule.forTesting()], providers: [Accounts] })
class RootModule {}

async function listening(): Promise<ConcordatTransport> {
  const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
  const transport = app.get(ConcordatTransport);
  transport.listen((error) => expect(error).toBeUndefined());
  return transport;
}

describe('@TransactionOperation', () => {
  it('takes name and schema from a contract, or from the code', async () => {
    const transport = await listening();
    expect(transport.operations()).toEqual(['debit', 'open', 'plain', 'touch', 'watch']);
    const handle = (name: string, payload: unknown) =>
      transport.handle({ operation: name, payload: payload as never, keys: [] }, CONTEXT);
    expect(await handle('debit', { account: 'acc-1', amount: 30 })).toEqual({ balance: 70 });
    expect(await handle('open', { account: 'acc-1', at: '1970-01-01T00:00:01Z' })).toEqual({ openedAt: 1_000 });
    expect(await handle('touch', { account: 'acc-1' })).toBeUndefined();
    expect(await handle('watch', 'acc-1')).toBe(5);
    expect(await handle('plain', { account: 'acc-1' })).toBe('acc-1');
    const refused = { code: 'INVALID_PAYLOAD', message: expect.stringMatching(/^at: /) };
    await expect(handle('open', { account: 'acc-1', at: 'soon' })).rejects.toMatchObject(refused);
  });

  it('refuses the contract of another participant, whose clients would send the work there', async () => {
    const transport = await listening();
    expect(() => transport.check('bank-a')).not.toThrow();
    const refuse = () => transport.check('bank-b');
    expect(refuse).toThrow('has the contract of the participant "bank-a", and this participant is "bank-b"');
  });
});
