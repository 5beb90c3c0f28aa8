import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import type { JsonValue } from '../model/json.js';
import { BRANCH_ID, committed, sampleBranch, sampleTransaction, TRANSACTION_ID } from '../testing/samples.js';
import { answer } from '../testing/scripted-fetch.js';
import { virtualClient } from '../testing/virtual-client.js';
import { defineParticipant, isOperationContract, operation, type ResultOf } from './operation.js';
import type { StandardSchema } from './standard-schema.js';

const bankA = defineParticipant('bank-a', {
  debit: operation<{ account: string; amount: number }, { balance: number }>(),
  ping: operation(),
});

const bankB = defineParticipant('bank-b', {
  credit: operation({
    payload: z.strictObject({ account: z.string(), at: z.iso.datetime().transform((text) => new Date(text)) }),
    result: z.object({ balance: z.string().transform(Number) }),
  }),
  open: operation({ payload: z.strictObject({ account: z.string() }) }),
});

/** Whether two types are the same; the compiler refuses a line where they are not. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(value: Same<A, B>): boolean => value;

describe('a contract', () => {
  it('makes work for its participant', () => {
    const work = bankA.debit({ account: 'acc-1', amount: 5 }, { keys: ['acc-1'] });
    expect(work).toMatchObject({ participant: 'bank-a', operation: 'debit', keys: ['acc-1'] });
    expect(work.payload).toEqual({ account: 'acc-1', amount: 5 });
    expect([bankA.debit.participant, bankA.debit.operation]).toEqual(['bank-a', 'debit']);
    expect(bankA.ping(undefined)).toMatchObject({ operation: 'ping', payload: undefined });
  });

  it('has the types of both sides', () => {
    const debit = () => bankA.debit({ account: 'acc-1', amount: 5 });
    const credit = () => bankB.credit({ account: 'acc-2', at: '2026-01-01T00:00:00Z' });
    expect(same<ResultOf<ReturnType<typeof debit>>, { balance: number }>(true)).toBe(true);
    expect(same<Parameters<typeof bankB.credit>[0], { account: string; at: string }>(true)).toBe(true);
    expect(same<ResultOf<ReturnType<typeof credit>>, { balance: number }>(true)).toBe(true);
    expect(same<ResultOf<ReturnType<typeof bankB.open>>, JsonValue | undefined>(true)).toBe(true);
    expect(same<ResultOf<{ participant: string; operation: string; payload: 1 }>, JsonValue | undefined>(true)).toBe(
      true,
    );
    // @ts-expect-error an amount is a number
    expect(bankA.debit({ account: 'acc-1', amount: '5' })).toBeDefined();
    // @ts-expect-error the schema takes the time as a text
    expect(bankB.credit({ account: 'acc-2', at: new Date(0) })).toBeDefined();
  });

  it('is known from other functions', () => {
    expect(isOperationContract(bankA.debit)).toBe(true);
    for (const other of ['debit', () => undefined, bankA, undefined]) expect(isOperationContract(other)).toBe(false);
  });
});

describe('work of contracts', () => {
  const credit = () => bankB.credit({ account: 'acc-2', at: '2026-01-01T00:00:00Z' });
  const done = (result: JsonValue) => {
    const branches = [
      sampleBranch({ operations: [{ operation: 'debit', payload: {}, keys: [], result: { balance: 95 } }] }),
      sampleBranch({ participant: 'bank-b', operations: [{ operation: 'credit', payload: {}, keys: [], result }] }),
    ];
    return answer(200, sampleTransaction({ ...committed, branches }));
  };

  it('is sent as it was given, and its results are typed and parsed', async () => {
    const { client, script } = virtualClient([done({ balance: '12' })]);
    const execution = await client.execute([bankA.debit({ account: 'acc-1', amount: 5 }), credit()]);
    expect((script.sent[0]!.body as { branches: unknown }).branches).toEqual([
      { participant: 'bank-a', operation: 'debit', payload: { account: 'acc-1', amount: 5 } },
      { participant: 'bank-b', operation: 'credit', payload: { account: 'acc-2', at: '2026-01-01T00:00:00Z' } },
    ]);
    if (!execution.settled) throw new Error('it is settled');
    const [debited, credited] = execution.results;
    expect(same<typeof debited, { balance: number }>(true)).toBe(true);
    expect([debited.balance, credited.balance]).toEqual([95, 12]);
  });

  it('with a payload that its schema refuses is not sent', async () => {
    const { client, script } = virtualClient([]);
    const wrong = bankB.credit({ account: 'acc-2', at: 'tomorrow' });
    const error = {
      code: 'INVALID_PAYLOAD',
      message: expect.stringMatching(/^the payload of "credit" of "bank-b" is not valid: at: /),
    };
    await expect(client.execute([wrong])).rejects.toMatchObject(error);
    await expect(client.enlist(TRANSACTION_ID, wrong)).rejects.toMatchObject(error);
    expect(script.sent).toEqual([]);
  });

  it('with a result that does not fit is refused', async () => {
    const { client } = virtualClient([done({ balance: 12 })]);
    const error = { code: 'INVALID_ANSWER', message: expect.stringContaining('the result of "credit"') };
    await expect(client.execute([bankA.debit({ account: 'acc-1', amount: 5 }), credit()])).rejects.toMatchObject(error);
  });

  it('may have a schema that needs time', async () => {
    const slow: StandardSchema<number> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => Promise.resolve(value === 1 ? { value } : { issues: [{ message: 'must be 1' }] }),
      },
    };
    const { step } = defineParticipant('one', { step: operation({ payload: slow }) });
    const { client } = virtualClient([answer(201, sampleBranch({ branchId: BRANCH_ID }))]);
    await expect(client.enlist(TRANSACTION_ID, step(1))).resolves.toBeDefined();
    await expect(client.enlist(TRANSACTION_ID, step(2))).rejects.toMatchObject({ code: 'INVALID_PAYLOAD' });
  });
});
