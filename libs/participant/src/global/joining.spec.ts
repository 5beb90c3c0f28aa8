import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { isUuid } from '@concordat/foundation';
import { waitFor } from '../../../../test/support/wait-for.js';
import { ContextCodec } from './context-header.js';
import { derivedBranchId } from './derived-branch-id.js';
import { NotJoinedError, RollbackOnlyError } from './errors.js';
import { join, type IncomingCall } from './joining.js';
import { PROPAGATIONS, type GlobalTransactionOptions, type Propagation } from './options.js';
import type { CallAnswer } from './outgoing-call.js';
import { GlobalSystem, KEY, type FakeService, type ServiceOptions } from './testing/global-system.js';

const INVENTORY = 'inventory:3000';

let system: GlobalSystem;
let orders: FakeService;
let inventory: FakeService;
/** what the handler of the callee does */
let handler: () => Promise<unknown>;
/** how the callee answers a failure: as an error, or as if nothing had happened */
let filter: CallAnswer['kind'];
let lastHeaders: Record<string, string>;

function start(options: ServiceOptions = {}): void {
  system = new GlobalSystem();
  orders = system.service('orders', { propagateTo: [INVENTORY], ...options });
  inventory = system.service('inventory', options);
  handler = () => add(inventory, 'reservation');
  filter = 'failed';
  lastHeaders = {};
}

beforeEach(() => start());

const add = async (service: FakeService, word: string): Promise<void> => {
  await service.transactions.currentClient()!.query(`add ${word}`);
};
const failing = async (): Promise<never> => {
  throw Object.assign(new Error('sold out'), { code: 'SOLD_OUT' });
};

/** What arrives at the callee; the caller's transaction does not come along by itself. */
async function receive(
  call: Partial<IncomingCall>,
  options: GlobalTransactionOptions = {},
): Promise<{ kind: CallAnswer['kind']; headers: Record<string, string>; error?: unknown }> {
  let headers: Record<string, string> = {};
  const incoming = { context: undefined, audiences: [INVENTORY], ...call };
  try {
    await orders.transactions.suspend(() =>
      join(inventory.transactions, incoming, options, handler, (given) => (headers = { ...given })),
    );
    return { kind: 'success', headers };
  } catch (error) {
    return { kind: filter, headers, error };
  }
}

/** What a transport makes of the headers of a call. */
const asReceived = (sent: Readonly<Record<string, string>>): Partial<IncomingCall> => ({
  context: sent['concordat-transaction'],
  invitation: sent['concordat-invitation'],
  offer: sent['concordat-names-branches'],
});

/** As a transport does it: the context along, the proof back. */
async function call(options: GlobalTransactionOptions = {}, isOffering = false): Promise<void> {
  const outgoing = orders.transactions.outgoing(INVENTORY)!;
  const sent = isOffering ? outgoing.offeringHeaders : outgoing.headers;
  const { kind, headers, error } = await receive(asReceived(sent), options);
  lastHeaders = headers;
  outgoing.answered({ kind, valueOf: (name) => headers[name] });
  if (kind !== 'success') throw error as Error;
}

const run = <T>(work: () => Promise<T>): Promise<T> => orders.transactions.run({ timeoutMs: 10_000 }, work);

describe('a joining handler', () => {
  it('works in the transaction of its caller, and both commit or none', async () => {
    await run(async () => {
      await add(orders, 'order');
      await call();
      expect(inventory.words).toEqual([]);
    });
    expect([orders.words, inventory.words]).toEqual([['order'], ['reservation']]);
    expect(lastHeaders).toEqual({ 'concordat-branch': inventory.sessions[0]!.branchId });

    await run(() => call().then(failing)).catch(() => undefined);
    expect(inventory.sessions).toHaveLength(2);
    expect(inventory.words).toEqual(['reservation']);
  });

  it('has one session for all calls of one transaction', async () => {
    await run(async () => {
      await call();
      handler = () => add(inventory, 'second');
      await call();
    });
    expect(inventory.sessions).toHaveLength(1);
    expect(inventory.words).toEqual(['reservation', 'second']);
  });

  it('that fails and is caught leaves the rest intact, and the answer says so', async () => {
    await run(async () => {
      await call();
      handler = () => add(inventory, 'undone').then(failing);
      await expect(call()).rejects.toMatchObject({ code: 'SOLD_OUT' });
      expect(lastHeaders).toEqual({ 'concordat-doomed': 'SOLD_OUT;inventory;undone' });
    });
    expect(inventory.words).toEqual(['reservation']);
  });

  it('whose exception filter hides the failure dooms the transaction, and the commit says who', async () => {
    handler = () => add(inventory, 'undone').then(failing);
    filter = 'success';
    const doomed = run(() => call());
    await expect(doomed).rejects.toThrow(RollbackOnlyError);
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'SOLD_OUT', by: 'inventory' } });
    expect(inventory.words).toEqual([]);
  });

  it('without a statement proves that it has joined, without a branch', async () => {
    handler = async () => undefined;
    await run(() => call());
    expect(lastHeaders).toEqual({ 'concordat-branch': 'none' });
    expect(inventory.sessions).toEqual([]);
  });

  it('passes the branches of the services below it on', async () => {
    const below = randomUUID();
    const nested = system.service('inventory', { propagateTo: ['stock:1'] });
    const outer = inventory;
    inventory = nested;
    handler = async () => {
      nested.transactions.outgoing('stock:1')!.answered({
        kind: 'success',
        valueOf: (name) => (name === 'concordat-branch' ? below : undefined),
      });
    };
    await run(() => call());
    expect(lastHeaders).toEqual({ 'concordat-branch': below });
    inventory = outer;
  });

  it('that fails after another service has joined below cannot be undone alone', async () => {
    inventory = system.service('inventory', { propagateTo: ['stock:1'] });
    const branch = randomUUID();
    handler = async () => {
      const valueOf = (name: string): string | undefined => (name === 'concordat-branch' ? branch : undefined);
      inventory.transactions.outgoing('stock:1')!.answered({ kind: 'success', valueOf });
      await failing();
    };
    const doomed = run(() => call().catch(() => undefined));
    await expect(doomed).rejects.toMatchObject({ doom: { code: 'SOLD_OUT', by: 'inventory' } });
    expect(lastHeaders).toEqual({ 'concordat-doomed': 'SOLD_OUT;inventory' });
  });

  it('in the same process as its caller shares its session', async () => {
    inventory = orders;
    await run(async () => {
      await add(orders, 'order');
      await call();
    });
    expect(orders.sessions).toHaveLength(1);
    expect(orders.words).toEqual(['order', 'reservation']);
  });

  it('calls its hooks when the decision is known', async () => {
    const called: string[] = [];
    handler = async () => {
      const transaction = inventory.transactions.current()!;
      transaction.onGlobalCommit(() => void called.push('commit'));
      transaction.onGlobalAbort(() => void called.push('abort'));
      transaction.onGlobalEnd(() => void called.push('end'));
      await add(inventory, 'reservation');
    };
    await run(() => call());
    await waitFor('they ran', () => called.length === 2);
    expect(called).toEqual(['commit', 'end']);
    await run(() => call().then(failing)).catch(() => undefined);
    await waitFor('they ran', () => called.length === 4);
    expect(called.slice(2)).toEqual(['abort', 'end']);
  });

  it('calls its hooks without a branch, too', async () => {
    const called: string[] = [];
    handler = async () => inventory.transactions.current()!.onGlobalCommit(() => void called.push('commit'));
    await run(() => call());
    await waitFor('it ran', () => called.length === 1);
  });
});

describe('the proof', () => {
  const answer = (kind: CallAnswer['kind'], headers: Record<string, string> = {}): void =>
    orders.transactions.outgoing(INVENTORY)!.answered({ kind, valueOf: (name) => headers[name] });

  it('that is missing dooms the transaction, naming the destination, also when the call’s error is caught', async () => {
    const doomed = run(async () => {
      await add(orders, 'order');
      expect(() => answer('success')).toThrow(NotJoinedError);
    });
    await expect(doomed).rejects.toMatchObject({ code: 'ROLLBACK_ONLY', doom: { code: 'NOT_JOINED', by: INVENTORY } });
    await expect(doomed).rejects.toThrow('@JoinGlobalTransaction()');
    expect(orders.words).toEqual([]);
  });

  it.each<[string, CallAnswer['kind'], Record<string, string>]>([
    ['an answer that cannot be read', 'failed', { 'concordat-branch': 'nonsense' }],
    ['an error of something in between', 'failed', {}],
  ])('is missing in %s, and the sentence leads to its log', async (_what, kind, headers) => {
    const failed = run(async () => answer(kind, headers));
    await expect(failed).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
    await expect(failed).rejects.toThrow(`the log of ${INVENTORY} says why it failed`);
    await expect(failed).rejects.not.toThrow('@JoinGlobalTransaction()');
  });

  it('is not asked of a callee that refused before it did anything', async () => {
    await run(async () => answer('refused'));
  });

  it('is missing when no answer comes at all', async () => {
    const failed = run(async () => orders.transactions.outgoing(INVENTORY)!.failed(new Error('ECONNRESET')));
    await expect(failed).rejects.toThrow('gave no answer (ECONNRESET)');
    await expect(failed).rejects.toThrow('see whether it runs and can be reached');
  });

  it.each([
    [new Error('connect ECONNREFUSED 127.0.0.1:3000'), 'connect ECONNREFUSED 127.0.0.1:3000'],
    [Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
  ])('names what lies behind the error of fetch (%s)', async (cause, said) => {
    const error = new TypeError('fetch failed', { cause });
    const failed = run(async () => orders.transactions.outgoing(INVENTORY)!.failed(error));
    await expect(failed).rejects.toThrow(`gave no answer (fetch failed: ${said})`);
  });

  it('is awaited by the method that made the call, although it forgot to', async () => {
    const forgotten = run(async () => {
      const outgoing = orders.transactions.outgoing(INVENTORY)!;
      setImmediate(() => outgoing.failed(new Error('late')));
    });
    await expect(forgotten).rejects.toMatchObject({ doom: { code: 'NOT_JOINED' } });
  });

  it('counts once', async () => {
    await run(async () => {
      const outgoing = orders.transactions.outgoing(INVENTORY)!;
      outgoing.answered({ kind: 'success', valueOf: (name) => (name === 'concordat-branch' ? 'none' : undefined) });
      outgoing.failed(new Error('a second report'));
    });
  });

  it('is expected only of destinations on the list, and only inside a transaction', async () => {
    expect(orders.transactions.outgoing(INVENTORY)).toBeUndefined();
    await run(async () => {
      expect(orders.transactions.outgoing('inventory:3001')).toBeUndefined();
      const outgoing = orders.transactions.outgoing('INVENTORY:3000')!;
      expect(Object.keys(outgoing.headers)).toEqual(['concordat-transaction', 'concordat-invitation']);
      outgoing.answered({ kind: 'refused', valueOf: () => undefined });
    });
  });
});

describe('a caller that offers to name the branches', () => {
  const offered = (): Promise<void> => call({}, true);

  it('names those of its callees with its own when it commits, and nobody enlists', async () => {
    await run(async () => {
      await add(orders, 'order');
      await offered();
    });
    expect([orders.words, inventory.words, system.enlistments]).toEqual([['order'], ['reservation'], 0]);
    const [transaction] = [...system.begun.values()];
    expect(transaction!.branches).toMatchObject([
      { participant: 'orders', instance: 'orders-1' },
      { participant: 'inventory', instance: 'inventory-1' },
    ]);
  });

  it('names them when it aborts, so that they hear of it', async () => {
    await run(() => offered().then(failing)).catch(() => undefined);
    await expect(inventory.sessions[0]!.ended).resolves.toBe('aborted');
    expect(system.enlistments).toBe(0);
  });

  it('names those of services below, whose callee passes them on', async () => {
    inventory = system.service('inventory', { propagateTo: ['stock:1'] });
    const below = `${randomUUID()};stock;stock-1`;
    handler = async () => {
      await add(inventory, 'reservation');
      const valueOf = (name: string): string | undefined => (name === 'concordat-unlisted' ? below : undefined);
      inventory.transactions.outgoing('stock:1')!.answered({ kind: 'success', valueOf });
    };
    await run(offered).catch(() => undefined); // nobody holds the branch below
    const [transaction] = [...system.begun.values()];
    expect(transaction!.branches.map(({ participant }) => participant)).toEqual(['inventory', 'stock']);
    expect(lastHeaders['concordat-unlisted']).toContain(below);
  });

  it('that does not offer it gets them enlisted before the answer, those below, too', async () => {
    inventory = system.service('inventory', { propagateTo: ['stock:1'] });
    const below = randomUUID();
    handler = async () => {
      await add(inventory, 'reservation');
      const valueOf = (name: string) => (name === 'concordat-unlisted' ? `${below};stock;stock-1` : undefined);
      inventory.transactions.outgoing('stock:1')!.answered({ kind: 'success', valueOf });
    };
    await run(() => call().then(failing)).catch(() => undefined);
    expect(lastHeaders).toEqual({ 'concordat-branch': `${inventory.sessions[0]!.branchId},${below}` });
    expect(system.enlistments).toBe(2);
  });

  it('cannot offer it where each participant must speak for itself', async () => {
    start({ mayNameOthers: false });
    await run(offered);
    expect([inventory.words, system.enlistments]).toEqual([['reservation'], 1]);
  });

  it('whose answer gets lost does not keep the callee: it enlists by itself, and is told to abort', async () => {
    await run(async () => {
      const outgoing = orders.transactions.outgoing(INVENTORY)!;
      const { offeringHeaders: sent } = outgoing;
      await receive(asReceived(sent));
      outgoing.failed(new Error('ECONNRESET'));
    }).catch(() => undefined);
    expect(inventory.sessions[0]!.doomed).toBeUndefined();
    await expect(inventory.sessions[0]!.ended).resolves.toBe('aborted');
    expect(inventory.sessions[0]!.doomed).toMatchObject({ code: 'NOT_ENLISTED' });
    expect(inventory.words).toEqual([]);
  });

  it('that takes long finds the branches enlisted', async () => {
    await run(async () => {
      await add(orders, 'order');
      await offered();
      await waitFor('both have enlisted', () => system.enlistments === 2);
    });
    expect([orders.words, inventory.words, system.enlistments]).toEqual([['order'], ['reservation'], 2]);
  });

  it('hears of a failure that cannot be undone, and the branch is told by the callee', async () => {
    inventory = system.service('inventory', { propagateTo: ['stock:1'] });
    handler = async () => {
      await add(inventory, 'reservation');
      const valueOf = (name: string) => (name === 'concordat-branch' ? randomUUID() : undefined);
      inventory.transactions.outgoing('stock:1')!.answered({ kind: 'success', valueOf });
      await failing();
    };
    await expect(run(() => offered().catch(() => undefined))).rejects.toMatchObject({ doom: { code: 'SOLD_OUT' } });
    await expect(inventory.sessions[0]!.ended).resolves.toBe('aborted');
  });
});

describe('an incoming context', () => {
  it.each<[string, (good: string) => string | readonly string[], string]>([
    ['that is forged', (good) => good.slice(0, -2), 'INVALID_CONTEXT'],
    ['that comes twice', (good) => [good, good], 'INVALID_CONTEXT'],
    ['that was made for another service', () => contextFor('payments:3000'), 'INVALID_CONTEXT'],
    ['that has expired', () => contextFor(INVENTORY, system.clock.now() - 5_000), 'CONTEXT_EXPIRED'],
  ])('%s is an error, and never a local transaction', async (_what, make, code) => {
    const context = make(contextFor(INVENTORY));
    const { error, headers } = await receive({ context });
    expect(error).toMatchObject({ code });
    expect(headers).toEqual({ 'concordat-doomed': `${code};inventory;undone` });
    expect(inventory.transactions.refusedContexts.counts).toMatchObject({ [code]: 1 });
    expect(inventory.sessions).toEqual([]);
    expect(system.begun.size).toBe(0);
  });

  const TABLE: Record<Propagation, { without: string; within: string }> = {
    REQUIRED: { without: 'begun', within: 'joined' },
    REQUIRES_NEW: { without: 'begun', within: 'begun' },
    NESTED: { without: 'begun', within: 'joined' },
    SUPPORTS: { without: 'none', within: 'joined' },
    MANDATORY: { without: 'TRANSACTION_REQUIRED', within: 'joined' },
    NOT_SUPPORTED: { without: 'none', within: 'none' },
    NEVER: { without: 'none', within: 'TRANSACTION_FORBIDDEN' },
  };

  it.each(PROPAGATIONS)('and %s, with and without', async (propagation) => {
    let seen: string | undefined;
    handler = async () => (seen = inventory.transactions.current()?.id);
    const observe = async (context: string | undefined, around?: string): Promise<string> => {
      const { kind, error } = await receive({ context }, { propagation });
      if (kind !== 'success') return (error as { code: string }).code;
      if (seen === undefined) return 'none';
      return seen === around ? 'joined' : 'begun';
    };
    expect(await observe(undefined)).toBe(TABLE[propagation].without);
    const { transactionId } = await system.begin({ protocol: '2pc', timeoutMs: 5_000 });
    const deadline = system.clock.now() + 5_000;
    const context = new ContextCodec(KEY).encode({ transactionId, deadline, audience: INVENTORY });
    expect(await observe(context, transactionId)).toBe(TABLE[propagation].within);
  });

  function contextFor(audience: string, deadline = system.clock.now() + 5_000): string {
    return new ContextCodec(KEY).encode({ transactionId: system.ids.next(), deadline, audience });
  }
});

describe('a message that is delivered again', () => {
  const delivery = { topic: 'payments', partition: 2, offset: '41' };

  it('has the same branch in every process of its participant, and no other has it', () => {
    const id = randomUUID();
    const branch = derivedBranchId(id, 'payments', delivery);
    expect(isUuid(branch)).toBe(true);
    expect(derivedBranchId(id, 'payments', { ...delivery })).toBe(branch);
    const others = [
      derivedBranchId(randomUUID(), 'payments', delivery),
      derivedBranchId(id, 'orders', delivery),
      derivedBranchId(id, 'payments', { ...delivery, topic: 'p' }),
      derivedBranchId(id, 'payments', { ...delivery, partition: 3 }),
      derivedBranchId(id, 'payments', { ...delivery, offset: '42' }),
    ];
    expect(new Set([branch, ...others]).size).toBe(6);
  });

  it('joins its own branch, and its work is done once', async () => {
    let runs = 0;
    handler = () => (runs++, add(inventory, `reservation-${runs}`));
    await run(async () => {
      const outgoing = orders.transactions.outgoing(INVENTORY)!;
      const message = { ...asReceived(outgoing.headers), delivery };
      const [first, second] = await Promise.all([receive(message), receive(message)]);
      const third = await receive(message);
      expect([second.headers, third.headers]).toEqual([first.headers, first.headers]);
      outgoing.answered({ kind: 'success', valueOf: (name) => third.headers[name] });
    });
    expect([runs, inventory.sessions.length, inventory.words]).toEqual([1, 1, ['reservation-1']]);
    const [session] = inventory.sessions;
    expect(session!.branchId).toBe(derivedBranchId(session!.request.transactionId, 'inventory', delivery));
  });

  it('works anew when the first delivery failed and was undone', async () => {
    let runs = 0;
    handler = () => (++runs === 1 ? add(inventory, 'undone').then(failing) : add(inventory, 'done'));
    await run(async () => {
      const outgoing = orders.transactions.outgoing(INVENTORY)!;
      const message = { ...asReceived(outgoing.headers), delivery };
      await receive(message);
      const { headers } = await receive(message);
      outgoing.answered({ kind: 'success', valueOf: (name) => headers[name] });
    });
    expect(inventory.words).toEqual(['done']);
  });
});

describe('over Kafka alone', () => {
  beforeEach(() => start({ isAddressable: false }));

  it('work is prepared when its outermost joining call ends, and enlisted with its vote', async () => {
    await run(async () => {
      await add(orders, 'order');
      await call();
      await expect(inventory.sessions[0]!.ended).resolves.toBe('prepared');
    });
    expect([orders.words, inventory.words]).toEqual([['order'], ['reservation']]);
    const [transaction] = [...system.begun.values()];
    expect(transaction!.branches).toMatchObject([
      { participant: 'inventory', vote: 'yes' },
      { participant: 'orders', vote: 'yes' },
    ]);
  });

  it('a branch that cannot be prepared dooms the transaction at once', async () => {
    handler = async () => {
      await add(inventory, 'reservation');
      inventory.sessions[0]!.doom({ code: 'NOT_PREPARABLE', message: 'a temporary table' });
    };
    const doomed = run(() => call());
    await expect(doomed).rejects.toMatchObject({ code: 'ROLLBACK_ONLY' });
    expect(lastHeaders).toEqual({ 'concordat-doomed': 'NOT_PREPARABLE;inventory' });
  });

  it('the session of a call that was undone ends at once, and a later call has another one', async () => {
    await run(async () => {
      handler = () => add(inventory, 'undone').then(failing);
      await expect(call()).rejects.toMatchObject({ code: 'SOLD_OUT' });
      await expect(inventory.sessions[0]!.ended).resolves.toBe('aborted');
      handler = () => add(inventory, 'second');
      await call();
    });
    expect(inventory.words).toEqual(['second']);
  });

  it('work that ended beside a call that is undone later is prepared with the end of that one', async () => {
    const open: (() => void)[] = [];
    const gate = (): Promise<void> => new Promise((resolve) => open.push(resolve));
    await run(async () => {
      const calls: Promise<void>[] = [];
      const begin = async (work: () => Promise<unknown>): Promise<void> => {
        handler = work;
        calls.push(call());
        calls.at(-1)!.catch(() => undefined);
        await waitFor('its statement', () => inventory.sessions[0]?.words.length === calls.length);
      };
      await begin(() => add(inventory, 'kept').then(gate));
      await begin(() => add(inventory, 'undone').then(gate).then(failing));
      open[0]!();
      await calls[0];
      open[1]!();
      await expect(calls[1]).rejects.toMatchObject({ code: 'SOLD_OUT' });
    });
    expect(inventory.words).toEqual(['kept']);
  });
});

describe('a call that was undone, and whose branch its caller is to name', () => {
  const undone = async (): Promise<void> => {
    inventory.transactions.transaction.onGlobalCommit(() => void ends.push('commit'));
    inventory.transactions.transaction.onGlobalAbort(() => void ends.push('abort'));
    await add(inventory, 'undone').then(failing);
  };
  let ends: string[];
  beforeEach(() => {
    ends = [];
  });

  it('gives its session back at once, and the transaction goes on', async () => {
    handler = undone;
    await run(async () => {
      await expect(call({}, true)).rejects.toMatchObject({ code: 'SOLD_OUT' });
      await expect(inventory.sessions[0]!.ended).resolves.toBe('aborted');
      expect(ends).toEqual([]);
      handler = () => add(inventory, 'second');
      await call({}, true);
    });
    expect(inventory.words).toEqual(['second']);
    expect([...system.begun.values()][0]!.branches.map(({ branchId }) => branchId)).toEqual([
      inventory.sessions[1]!.branchId,
    ]);
    await waitFor('the hooks', () => ends.length > 0);
    expect(ends).toEqual(['abort']);
  });

  it('keeps it for what another call has done in it', async () => {
    await run(async () => {
      await call({}, true);
      handler = undone;
      await expect(call({}, true)).rejects.toMatchObject({ code: 'SOLD_OUT' });
    });
    expect(inventory.sessions).toHaveLength(1);
    expect(inventory.words).toEqual(['reservation']);
  });

  it('keeps it when the coordinators know the branch', async () => {
    handler = undone;
    await run(async () => {
      await expect(call()).rejects.toMatchObject({ code: 'SOLD_OUT' });
      handler = () => add(inventory, 'second');
      await call();
    });
    expect(inventory.sessions).toHaveLength(1);
    expect(inventory.words).toEqual(['second']);
  });
});
