import { beforeEach, describe, expect, it } from '@jest/globals';
import { EventEmitter, once } from 'node:events';
import { waitFor } from '../../../../test/support/wait-for.js';
import {
  GlobalOutcomeUnknownError,
  GlobalTransactionMixedError,
  GlobalTransactionAbortedError,
  HandleClosedError,
  RollbackOnlyError,
  TransactionForbiddenError,
  TransactionRequiredError,
} from './errors.js';
import { PROPAGATIONS, type GlobalTransactionOptions, type Propagation } from './options.js';
import { FakeDatabaseError, GlobalSystem, type FakeService } from './testing/global-system.js';

let system: GlobalSystem;
let orders: FakeService;

beforeEach(() => {
  system = new GlobalSystem();
  orders = system.service('orders');
});

/** The work of a method that uses the current transaction, wherever it is. */
const add = async (word: string): Promise<void> => {
  await orders.transactions.currentClient()?.query(`add ${word}`);
};
const failing = async (error: Error): Promise<never> => {
  throw error;
};
const run = <T>(work: () => Promise<T>, options: GlobalTransactionOptions = {}): Promise<T> =>
  orders.transactions.run(options, work);

describe('a method that begins', () => {
  it('commits when it returns, with the options that it was given', async () => {
    const options = { timeoutMs: 5_000, protocol: '3pc', metadata: { cart: 7 } } as const;
    await expect(run(async () => add('order').then(() => 'done'), options)).resolves.toBe('done');
    expect(orders.words).toEqual(['order']);
    const beginner = { participant: 'orders', instance: 'orders-1' };
    const invitation = expect.stringMatching(/^[A-Za-z0-9_-]{22}$/);
    expect(system.requests).toEqual([{ ...options, beginner, invitation }]);
    expect(orders.sessions[0]!.request.timeoutMs).toBeLessThanOrEqual(5_000);
  });

  it('aborts when it throws, and throws the same', async () => {
    const error = new Error('no stock');
    await expect(run(() => add('order').then(() => failing(error)))).rejects.toBe(error);
    expect(orders.words).toEqual([]);
    expect([...system.begun.values()].map(({ answer }) => answer?.outcome)).toEqual(['aborted']);
    await expect(orders.sessions[0]!.ended).resolves.toBe('aborted');
  });

  it('opens no session and enlists no branch before its first statement', async () => {
    await run(async () => undefined);
    expect(orders.sessions).toEqual([]);
    expect([...system.begun.values()][0]!.branches).toEqual([]);
  });

  it('has one session for all that runs in it, also in parallel', async () => {
    await run(() => Promise.all(['a', 'b', 'c'].map(add)));
    expect(orders.sessions).toHaveLength(1);
    expect(orders.words).toEqual(['a', 'b', 'c']);
    const { branches } = [...system.begun.values()][0]!;
    expect(branches).toMatchObject([
      { participant: 'orders', instance: 'orders-1', branchId: orders.sessions[0]!.branchId },
    ]);
  });

  it('says who refused when the coordinators abort', async () => {
    const aborted = run(async () => {
      await add('order');
      orders.sessions[0]!.doom({ code: 'SOLD_OUT', message: 'none left' });
    });
    await expect(aborted).rejects.toThrow(GlobalTransactionAbortedError);
    await expect(aborted).rejects.toMatchObject({
      code: 'TRANSACTION_ABORTED',
      participant: 'orders',
      participantCode: 'SOLD_OUT',
    });
    expect(orders.words).toEqual([]);
  });

  it('aborts when it returns after its deadline', async () => {
    const timeoutMs = 100;
    const late = run(
      async () => {
        const begun = system.clock.monotonic(); // by which the SDK measures; the clock of the wall may go another way
        await add('order');
        await waitFor('the deadline has passed', () => system.clock.monotonic() - begun > timeoutMs);
      },
      { timeoutMs },
    );
    await expect(late).rejects.toMatchObject({
      reason: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('a longer timeoutMs'),
    });
    expect(orders.words).toEqual([]);
  });

  it('fails when its branch cannot be enlisted, although the method went on', async () => {
    system.commitFails = Object.assign(new Error('the coordinators reach it over Kafka alone'), {
      code: 'NOT_ADDRESSABLE',
    });
    await expect(run(() => add('order'))).rejects.toThrow('over Kafka alone');
    expect(orders.words).toEqual([]);
  });

  it('has its branch enlisted by the commit, or while it works when that takes long', async () => {
    await run(() => add('order'));
    expect(system.enlistments).toBe(0);
    await run(async () => {
      await add('order');
      await waitFor('the branch is enlisted', () => system.enlistments === 1);
    });
    system.enlistFails = Object.assign(new Error('the transaction is decided'), { code: 'TRANSACTION_DECIDED' });
    const late = run(async () => {
      await add('order');
      await waitFor('it is refused', () => orders.sessions[2]!.doomed !== undefined);
    });
    await expect(late).rejects.toMatchObject({ doom: { code: 'NOT_ENLISTED', by: 'orders' } });
  });

  it.each(['57014', '08006'])(
    'is told of the deadline when that ends a statement (%s), and no riddle of the database',
    async (state) => {
      const cut = run(
        async () => {
          const begun = system.clock.monotonic();
          await add('order');
          await waitFor('the deadline has passed', () => system.clock.monotonic() - begun > 100);
          await orders.transactions.client.query(`fail ${state}`);
        },
        { timeoutMs: 100 },
      );
      await expect(cut).rejects.toMatchObject({
        reason: 'DEADLINE_EXCEEDED',
        message: expect.stringContaining('a longer timeoutMs'),
        cause: { code: state },
      });
    },
  );

  it('is told of the deadline when its first statement comes after it, also when it hides that', async () => {
    const addLate = async (): Promise<void> => {
      const begun = system.clock.monotonic();
      await waitFor('the deadline has passed', () => system.clock.monotonic() - begun > 100);
      await add('order');
    };
    await expect(run(addLate, { timeoutMs: 100 })).rejects.toMatchObject({
      reason: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('a longer timeoutMs'),
    });
    const hidden = run(() => addLate().catch(() => undefined), { timeoutMs: 100 });
    await expect(hidden).rejects.toThrow(/DEADLINE_EXCEEDED.*a longer timeoutMs/);
    expect(orders.sessions).toEqual([]);
  });

  it('gets the refusal of a statement itself, also after its deadline', async () => {
    const refused = run(
      async () => {
        const begun = system.clock.monotonic();
        await add('order');
        await waitFor('the deadline has passed', () => system.clock.monotonic() - begun > 100);
        await orders.transactions.client.query('fail 23505');
      },
      { timeoutMs: 100 },
    );
    await expect(refused).rejects.toMatchObject({ code: '23505' });
  });

  it('says that it came after its deadline, and not that its branch came too late for that', async () => {
    system.enlistFails = Object.assign(new Error('the transaction is decided'), { code: 'TRANSACTION_DECIDED' });
    const late = run(
      async () => {
        await add('order');
        await waitFor('it is refused', () => orders.sessions[0]!.doomed !== undefined);
      },
      { timeoutMs: 1_000 },
    );
    await expect(late).rejects.toMatchObject({ code: 'TRANSACTION_ABORTED', reason: 'DEADLINE_EXCEEDED' });
  });

  it('fails when no session can be had, also if the method goes on without', async () => {
    orders.nextHoldFails = Object.assign(new Error('no place'), { code: 'HELD_BRANCHES_EXHAUSTED' });
    const failed = run(() => add('order').catch(() => undefined));
    await expect(failed).rejects.toThrow(RollbackOnlyError);
    await expect(failed).rejects.toMatchObject({ doom: { code: 'HELD_BRANCHES_EXHAUSTED', by: 'orders' } });
  });
});

describe('the context', () => {
  it('is there in promises, timers, events and callbacks that began inside, and nowhere else', async () => {
    const { transactions } = orders;
    const emitter = new EventEmitter();
    const outside: unknown[] = [];
    emitter.on('outside', () => outside.push(transactions.current()?.id));
    await transactions.run({}, async (transaction) => {
      const seen = await Promise.all([
        Promise.resolve().then(() => transactions.current()?.id),
        new Promise((resolve) => setImmediate(() => resolve(transactions.current()?.id))),
        new Promise((resolve) => process.nextTick(() => resolve(transactions.current()?.id))),
        new Promise((resolve) => emitter.once('inside', () => resolve(transactions.current()?.id)).emit('inside')),
      ]);
      expect(new Set(seen)).toEqual(new Set([transaction.id]));
    });
    expect(transactions.current()).toBeUndefined();
    emitter.emit('outside');
    expect(outside).toEqual([undefined]);
  });

  it('that a callback from outside has lost is missed by MANDATORY, not replaced by a local transaction', async () => {
    const { transactions } = orders;
    let lost: () => Promise<unknown> = async () => undefined;
    const worker = new Promise<void>((resolve) => (lost = async () => resolve()));
    const fromOutside = worker.then(() => transactions.run({ propagation: 'MANDATORY' }, () => add('order')));
    fromOutside.catch(() => undefined);
    await run(() => lost());
    await expect(fromOutside).rejects.toThrow(TransactionRequiredError);
    expect(orders.words).toEqual([]);
  });

  it('is that of each transaction, when many run at once', async () => {
    await Promise.all(
      ['a', 'b', 'c', 'd'].map((word) =>
        run(async () => {
          const before = orders.transactions.current()!.id;
          await add(word);
          await new Promise((resolve) => setImmediate(resolve));
          expect(orders.transactions.current()!.id).toBe(before);
        }),
      ),
    );
    expect(orders.sessions.map(({ words }) => words.length)).toEqual([1, 1, 1, 1]);
  });

  it('is that of the participant: another one in the same process has its own', async () => {
    const billing = system.service('billing');
    await run(async () => {
      expect(billing.transactions.current()).toBeUndefined();
    });
  });
});

describe('the session and the transaction', () => {
  it('are there inside', async () => {
    await orders.transactions.run({}, async ({ id }) => {
      expect(orders.transactions.transaction.id).toBe(id);
      await orders.transactions.client.query('add order');
    });
    expect(orders.words).toEqual(['order']);
  });

  it.each(['client', 'transaction'] as const)('are an error outside, which says what to do (%s)', (property) => {
    expect(() => orders.transactions[property]).toThrow(
      expect.objectContaining({
        code: 'TRANSACTION_REQUIRED',
        message: expect.stringMatching(/^GlobalTransactions\.\w+ is used outside .* @GlobalTransaction\(\) method/),
      }),
    );
    expect(orders.transactions.current()).toBeUndefined();
  });
});

describe('propagation', () => {
  /** `new`: in a transaction of its own; `same`: in the one around it; `none`: in none; otherwise the error's code. */
  const TABLE: Record<Propagation, { without: string; within: string }> = {
    REQUIRED: { without: 'new', within: 'same' },
    REQUIRES_NEW: { without: 'new', within: 'new' },
    NESTED: { without: 'new', within: 'same' },
    SUPPORTS: { without: 'none', within: 'same' },
    MANDATORY: { without: 'TRANSACTION_REQUIRED', within: 'same' },
    NOT_SUPPORTED: { without: 'none', within: 'none' },
    NEVER: { without: 'none', within: 'TRANSACTION_FORBIDDEN' },
  };

  async function observe(propagation: Propagation, around: string | undefined): Promise<string> {
    try {
      return await orders.transactions.run({ propagation }, async (transaction) => {
        expect(orders.transactions.current()?.id).toBe(transaction?.id);
        if (!transaction) return 'none';
        return transaction.id === around ? 'same' : 'new';
      });
    } catch (error) {
      if (error instanceof TransactionRequiredError || error instanceof TransactionForbiddenError) return error.code;
      throw error;
    }
  }

  it.each(PROPAGATIONS)('%s without a transaction', async (propagation) => {
    expect(await observe(propagation, undefined)).toBe(TABLE[propagation].without);
  });

  it.each(PROPAGATIONS)('%s within a transaction, which goes on afterwards', async (propagation) => {
    await orders.transactions.run({}, async ({ id }) => {
      await add('before');
      expect(await observe(propagation, id)).toBe(TABLE[propagation].within);
      expect(orders.transactions.current()?.id).toBe(id);
      await add('after');
    });
    expect(orders.words).toEqual(['after', 'before']);
  });

  it('REQUIRES_NEW commits alone, and tells the places which sessions wait for it', async () => {
    const error = new Error('the outer one fails');
    const outer = run(async () => {
      await add('outer');
      await run(() => add('inner'), { propagation: 'REQUIRES_NEW' });
      await failing(error);
    });
    await expect(outer).rejects.toBe(error);
    expect(orders.words).toEqual(['inner']);
    expect(orders.sessions[1]!.request.suspends).toEqual([orders.sessions[0]!.branchId]);
  });
});

describe.each<Propagation>(['REQUIRED', 'NESTED', 'SUPPORTS', 'MANDATORY'])('a joining method (%s)', (propagation) => {
  const inner = <T>(work: () => Promise<T>): Promise<T> => run(work, { propagation });

  it('that fails and is caught leaves the rest intact', async () => {
    await run(async () => {
      await add('before');
      await inner(() => add('undone').then(() => failing(new Error('inner')))).catch(() => undefined);
      await inner(() => add('kept'));
      await add('after');
    });
    expect(orders.words).toEqual(['after', 'before', 'kept']);
  });

  it('that the database refused is undone, and the session works again', async () => {
    await run(async () => {
      await add('before');
      const refused = inner(async () => {
        await add('undone');
        await orders.transactions.currentClient()!.query('fail 23505');
      });
      await expect(refused).rejects.toThrow(FakeDatabaseError);
      await add('after');
    });
    expect(orders.words).toEqual(['after', 'before']);
  });

  it('that hides an error of the database is undone, and its caller is told', async () => {
    await run(async () => {
      await add('before');
      const hidden = inner(async () => {
        await add('undone');
        await orders.transactions
          .currentClient()!
          .query('fail 23505')
          .catch(() => undefined);
      });
      await expect(hidden).rejects.toThrow('the database refused a statement');
    });
    expect(orders.words).toEqual(['before']);
  });
});

describe('methods inside methods', () => {
  const inner = <T>(work: () => Promise<T>): Promise<T> => run(work, { propagation: 'NESTED' });

  it('take a savepoint only when they use the session, and release it with the next', async () => {
    await run(async () => {
      await inner(() => inner(() => add('a')));
      await inner(async () => undefined);
      await inner(() => add('b'));
    });
    expect(orders.sessions[0]!.statements).toEqual([
      'SAVEPOINT concordat_1; SAVEPOINT concordat_2',
      'add a',
      'RELEASE SAVEPOINT concordat_1; SAVEPOINT concordat_3',
      'add b',
    ]);
  });

  it('are undone with the one around them', async () => {
    await run(async () => {
      const outer = inner(async () => {
        await inner(() => add('undone'));
        await failing(new Error('outer'));
      });
      await outer.catch(() => undefined);
      await add('kept');
    });
    expect(orders.words).toEqual(['kept']);
  });

  it('that send their first statements at the same time keep each other’s work when one fails', async () => {
    await run(async () => {
      const first = inner(() => add('kept'));
      const second = inner(async () => {
        await add('undone');
        await failing(new Error('the second fails'));
      });
      await Promise.allSettled([first, second]);
    });
    expect(orders.words).toEqual(['kept']);
  });

  it('that ran at the same time cannot be undone alone: the transaction is doomed', async () => {
    const both = run(async () => {
      const second = new EventEmitter();
      const isOver = once(second, 'over');
      const first = inner(async () => {
        await add('first');
        await isOver;
        await failing(new Error('the first fails'));
      });
      await inner(() => add('second'));
      second.emit('over');
      await first.catch(() => undefined);
    });
    await expect(both).rejects.toThrow(RollbackOnlyError);
    await expect(both).rejects.toThrow('the first fails');
    expect(orders.words).toEqual([]);
  });
});

describe('a doomed transaction', () => {
  it('aborts although its method returns, and says who doomed it', async () => {
    const doomed = orders.transactions.run({}, async (transaction) => {
      await add('order');
      transaction.setRollbackOnly('the cart is empty');
      transaction.setRollbackOnly('a later reason does not count');
      expect(transaction.isRollbackOnly).toBe(true);
    });
    await expect(doomed).rejects.toMatchObject({
      code: 'ROLLBACK_ONLY',
      doom: { by: 'orders', message: 'the cart is empty' },
    });
    expect(orders.words).toEqual([]);
  });

  it('aborts when a method returns after the database has refused a statement', async () => {
    const hidden = run(async () => {
      await add('order');
      await orders.transactions
        .currentClient()!
        .query('fail 23505')
        .catch(() => undefined);
    });
    await expect(hidden).rejects.toThrow(RollbackOnlyError);
    await expect(hidden).rejects.toMatchObject({ doom: { code: 'STATEMENT_FAILED' } });
  });
});

describe('a forgotten await', () => {
  it('is drained: a statement that was sent in time belongs to the transaction', async () => {
    await run(async () => {
      await add('first');
      void add('not awaited');
    });
    expect(orders.words).toEqual(['first', 'not awaited']);
  });

  it('is an error when the statement comes late, and the transaction aborts', async () => {
    let late: Promise<unknown> = Promise.resolve();
    const forgetful = run(async () => {
      await add('first');
      late = new Promise((resolve) => setImmediate(resolve)).then(() => add('late'));
      late.catch(() => undefined);
      let open = (): void => undefined;
      orders.sessions[0]!.gate = new Promise((resolve) => (open = resolve));
      void add('slow'); // is drained, so the late one comes before the commit
      setImmediate(() => setImmediate(() => open()));
    });
    await expect(forgetful).rejects.toMatchObject({ doom: { code: 'HANDLE_CLOSED' } });
    await expect(late).rejects.toThrow(HandleClosedError);
    await expect(late).rejects.toThrow('an await is missing');
    expect(orders.words).toEqual([]);
  });

  it('changes nothing when it comes after the decision', async () => {
    let late: Promise<unknown> = Promise.resolve();
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    await run(async () => {
      await add('order');
      late = gate.then(() => add('late'));
      late.catch(() => undefined);
    });
    go();
    await expect(late).rejects.toThrow(HandleClosedError);
    expect(orders.words).toEqual(['order']);
  });

  it('of a whole method is one, too', async () => {
    let late: Promise<unknown> = Promise.resolve();
    const forgetful = run(async () => {
      await add('order');
      late = run(async () => {
        await new Promise((resolve) => setImmediate(resolve));
        await add('late');
      });
      late.catch(() => undefined);
      let open = (): void => undefined;
      orders.sessions[0]!.gate = new Promise((resolve) => (open = resolve));
      void add('slow');
      setImmediate(() => setImmediate(() => setImmediate(() => open())));
    });
    await expect(forgetful).rejects.toThrow(RollbackOnlyError);
    await expect(late).rejects.toThrow(HandleClosedError);
  });

  it('does not hold up the end for ever', async () => {
    const hanging = run(
      async () => {
        await add('order');
        orders.sessions[0]!.gate = new Promise(() => undefined);
        void add('never');
      },
      { timeoutMs: 100 },
    );
    await expect(hanging).rejects.toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
  });
});

describe('retry', () => {
  it.each(['40001', '40P01', '55P03'])('repeats the whole method after %s, in new transactions', async (state) => {
    let attempts = 0;
    const ids = new Set<string>();
    await run(
      async () => {
        ids.add(orders.transactions.current()!.id);
        await add(`attempt-${++attempts}`);
        if (attempts < 3) await orders.transactions.currentClient()!.query(`fail ${state}`);
      },
      { retry: { attempts: 3 } },
    );
    expect([attempts, ids.size, orders.words]).toEqual([3, 3, ['attempt-3']]);
  });

  it('sees through the wrapper of a library, and repeats what a participant refused for a lock', async () => {
    let attempts = 0;
    const wrapped = Object.assign(new Error('QueryFailedError'), { driverError: new FakeDatabaseError('40001') });
    await run(
      async () => {
        await add('order');
        if (++attempts === 1) throw wrapped;
        if (attempts === 2) orders.sessions[1]!.doom({ code: 'LOCK_TIMEOUT', message: 'locked' });
      },
      { retry: { attempts: 5 } },
    );
    expect(attempts).toBe(3);
  });

  it.each<[string, GlobalTransactionOptions, Error, number]>([
    ['it was not asked for', {}, new FakeDatabaseError('40001'), 1],
    ['the attempts are used up', { retry: { attempts: 2 } }, new FakeDatabaseError('40001'), 2],
    ['the error is another', { retry: { attempts: 5 } }, new FakeDatabaseError('23505'), 1],
    ['the error is the method’s own', { retry: { attempts: 5 } }, new Error('no'), 1],
  ])('is not done when %s', async (_why, options, error, expected) => {
    let attempts = 0;
    const failed = run(() => (attempts++, failing(error)), options);
    await expect(failed).rejects.toBe(error);
    expect(attempts).toBe(expected);
  });
});

describe('a commit whose answer is lost', () => {
  it('is asked about until it is known', async () => {
    system.nextCommitIsLost = 'after';
    await run(() => add('order'));
    expect(orders.words).toEqual(['order']);
  });

  it('is an error of its own when nobody answers, and calls no hook', async () => {
    const patient = system.service('patient', { outcomeLimitMs: 10 });
    system.nextCommitIsLost = 'before';
    system.isSilent = true;
    const called: string[] = [];
    const unknown = patient.transactions.run({ timeoutMs: 100 }, async (transaction) => {
      transaction.onGlobalCommit(() => void called.push('commit'));
      transaction.onGlobalAbort(() => void called.push('abort'));
    });
    await expect(unknown).rejects.toThrow(GlobalOutcomeUnknownError);
    const [id] = [...system.begun.keys()];
    await expect(unknown).rejects.toThrow(`GET /v1/transactions/${id}`);
    expect(called).toEqual([]);
  });
});

it('a method that fails while a branch was ended against its abort throws its own error, and the log says where', async () => {
  const against = [{ participant: 'stock', branchId: system.ids.next(), state: 'heuristic-commit' }];
  system.abort = async (id) => Promise.reject(new GlobalTransactionMixedError(id, 'aborted', against));
  await expect(run(() => failing(new Error('no')))).rejects.toThrow('no');
  expect(system.lines).toEqual([expect.stringContaining(`stock (branch ${against[0]!.branchId}, heuristic-commit)`)]);
});

it('a method that cannot be undone is logged with its branch', async () => {
  await run(async () => {
    await add('order');
    await run(async () => {
      await add('inner');
      orders.sessions[0]!.close('aborted');
      return failing(new Error('no'));
    });
  }).catch(() => undefined);
  const [id] = system.begun.keys();
  const { branchId } = orders.sessions[0]!;
  expect(system.lines).toEqual([
    `a method of branch ${branchId} of transaction ${id} was not undone: the session has ended`,
  ]);
});

describe('hooks', () => {
  let called: string[];

  beforeEach(() => {
    called = [];
  });

  function register(name: string): void {
    const transaction = orders.transactions.current()!;
    transaction.onGlobalEnd(() => void called.push(`${name} end`));
    transaction.onGlobalCommit(async () => void called.push(`${name} commit ${orders.words.length}`));
    transaction.onGlobalAbort(() => void called.push(`${name} abort`));
  }

  it('run after the commit, outside the transaction, those of the end last', async () => {
    await run(async () => {
      register('outer');
      orders.transactions.current()!.onGlobalCommit(() => void called.push(String(orders.transactions.current())));
      await add('order');
    });
    expect(called).toEqual(['outer commit 1', 'undefined', 'outer end']);
  });

  it('run after the abort', async () => {
    await run(async () => (register('outer'), failing(new Error('no')))).catch(() => undefined);
    expect(called).toEqual(['outer abort', 'outer end']);
  });

  it('of a method that was undone are those of an abort, whatever becomes of the rest', async () => {
    await run(async () => {
      register('outer');
      await run(async () => (register('kept'), add('order')));
      await run(async () => (register('undone'), add('x'), failing(new Error('no')))).catch(() => undefined);
    });
    expect(called).toEqual(['outer commit 1', 'kept commit 1', 'undone abort', 'outer end', 'kept end', 'undone end']);
  });

  it.each(['committed', 'aborted'] as const)(
    'run as it was decided (%s) when a branch ended against that, and the caller and the log are told',
    async (decision) => {
      const against = [{ participant: 'stock', branchId: system.ids.next(), state: 'heuristic-rollback' }];
      const reason = 'OPERATOR';
      system.commit = async () => ({ outcome: decision, reason, against });
      const mixed = run(async () => (register('outer'), add('order')));
      await expect(mixed).rejects.toMatchObject({ code: 'TRANSACTION_MIXED', decision, branches: against });
      expect(called).toEqual([`outer ${decision === 'committed' ? 'commit 0' : 'abort'}`, 'outer end']);
      const [id] = system.begun.keys();
      expect(system.lines).toEqual([expect.stringContaining(`transaction ${id} was ${decision}, but not at stock`)]);
      expect(system.lines[0]).toContain(`branch ${against[0]!.branchId}`);
    },
  );

  it('that fail are logged, and keep nobody from the rest', async () => {
    await run(async () => {
      orders.transactions.current()!.onGlobalCommit(() => failing(new Error('mail server')));
      register('next');
    });
    expect(called).toEqual(['next commit 0', 'next end']);
    const [id] = system.begun.keys();
    expect(system.lines).toEqual([`a hook after transaction ${id} failed: mail server`]);
  });

  it('cannot be registered when the method has returned', async () => {
    const { transactions } = orders;
    const past = await transactions.run({}, async (transaction) => transaction);
    expect(() => past.onGlobalCommit(() => undefined)).toThrow(HandleClosedError);
  });
});
