import { describe, expect, it } from '@jest/globals';
import { UuidV7Generator, SeededRandom } from '@concordat/foundation';
import { isVisible, type Access } from './access.js';
import { scopedKey, sentKey } from './idempotency-scope.js';
import { DECIDED, Harness, key, work } from './testing/harness.js';

const ALICE = 'jwt:alice';
const BOB = 'token:bob';
const begin = { protocol: '2pc', timeoutMs: 30_000, metadata: {} } as const;
const of = (owner: string, ...participants: string[]): Access => ({ owner, participants });

async function begunBy(harness: Harness, owner?: string): Promise<string> {
  return (await harness.manager.begin({ ...begin, owner })).id;
}

describe('who may see a transaction', () => {
  const branches = [{ participant: 'bank-a' }];

  it.each<[string, { owner?: string }, Access | undefined, boolean]>([
    ['everybody without authentication', {}, undefined, true],
    ['who may see all', { owner: ALICE }, undefined, true],
    ['its owner', { owner: ALICE }, of(ALICE), true],
    ['another client', { owner: ALICE }, of(BOB), false],
    ['a client, where it has no owner', {}, of(BOB), false],
    ['one who begins none, where it has no owner', {}, { participants: [] }, false],
    ['a participant that has joined', { owner: ALICE }, { participants: ['bank-b', 'bank-a'] }, true],
    ['a participant that has not', { owner: ALICE }, { participants: ['bank-b'] }, false],
  ])('%s', (_name, owned, access, expected) => {
    expect(isVisible({ ...owned, branches }, access)).toBe(expected);
  });
});

describe('the transaction of somebody else', () => {
  it('is shown with its owner, to the owner and to who may see all', async () => {
    const harness = new Harness();
    const id = await begunBy(harness, ALICE);
    for (const access of [undefined, of(ALICE)]) {
      expect((await harness.manager.get(id, 'linearizable', access)).value).toMatchObject({ id, owner: ALICE });
    }
    const anonymous = await begunBy(harness);
    expect((await harness.manager.get(anonymous, 'stale')).value).not.toHaveProperty('owner');
  });

  it('is answered by every call as one that does not exist', async () => {
    const harness = new Harness();
    const [foreign, missing] = [await begunBy(harness, ALICE), harness.newId()];
    const { manager } = harness;
    const access = of(BOB);
    const calls = [
      (id: string) => manager.get(id, 'linearizable', access),
      (id: string) => manager.get(id, 'stale', access),
      (id: string) => manager.commit(id, { ...DECIDED, access }),
      (id: string) => manager.abort(id, { ...DECIDED, access }),
      (id: string) => manager.enlist(id, work('bank-a'), undefined, access),
      (id: string) => manager.enlist(id, work('bank-a'), key('k'), access),
    ];
    for (const call of calls) {
      const errors = [];
      for (const id of [foreign, missing]) {
        const error = (await call(id).then(
          () => new Error('it was answered'),
          (thrown: unknown) => thrown,
        )) as Error & { code?: string };
        errors.push([error.code, error.message.replaceAll(id, 'ID')]);
      }
      expect(errors[0]).toEqual(errors[1]);
      expect(errors[0]![0]).toBe('TRANSACTION_NOT_FOUND');
    }
    expect((await manager.get(foreign, 'linearizable')).value).toMatchObject({ status: 'active', branches: [] });
  });

  it('is in no list, and its id in no cursor', async () => {
    const harness = new Harness();
    const own: string[] = [];
    const foreign: string[] = [];
    for (let count = 0; count < 20; count++) {
      await harness.pass(1);
      own.unshift(await begunBy(harness, ALICE));
      for (let others = 0; others < 3; others++) foreign.push(await begunBy(harness, BOB));
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const query = { limit: 3, access: of(ALICE), ...(cursor !== undefined && { cursor }) };
      const { value } = await harness.manager.list(query, 'linearizable');
      seen.push(...value.items.map(({ id }) => id));
      expect(foreign).not.toContain(value.nextCursor);
      cursor = value.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(seen).toEqual(own);
  });

  it('ends a page by its number without a word of its id, and nothing is left out', async () => {
    const harness = new Harness();
    const ids = new UuidV7Generator(() => harness.clock.now(), new SeededRandom(3));
    const add = (owner: string): string => {
      const transactionId = ids.next();
      const at = harness.clock.now();
      const record = { type: 'begin', transactionId, branches: [], closed: false, at, deadline: at + 1 } as const;
      harness.log.apply({ ...record, protocol: '2pc', metadata: {}, owner });
      return transactionId;
    };
    const own: string[] = [add(ALICE)];
    const foreign = new Set<string>();
    // more than one page looks at, many of them of the same millisecond
    for (let count = 0; count < 20_500; count++) {
      if (count % 50 === 0) harness.clock.advance(1);
      foreign.add(add(BOB));
    }
    own.unshift(add(ALICE));
    const seen: string[] = [];
    let [pages, cursor] = [0, undefined as string | undefined];
    do {
      const query = { limit: 50, access: of(ALICE), ...(cursor !== undefined && { cursor }) };
      const listing = harness.watch(harness.manager.list(query, 'linearizable'));
      while (!listing.isSettled) await harness.pass(1);
      const { value } = listing.value!;
      seen.push(...value.items.map(({ id }) => id));
      expect(foreign.has(value.nextCursor ?? '')).toBe(false);
      cursor = value.nextCursor ?? undefined;
      pages++;
    } while (cursor !== undefined);
    expect([seen, pages]).toEqual([own, 2]);
  });
});

describe('an idempotency key', () => {
  it('belongs to its principal: another one with the same key is somebody else', async () => {
    const harness = new Harness();
    const { bodyHash } = key('k');
    const keyed = (principal?: string) => ({
      idempotency: { key: scopedKey('k', principal), bodyHash },
      owner: principal,
    });
    const ids = [];
    for (const principal of [ALICE, BOB, undefined, ALICE, BOB, undefined]) {
      ids.push((await harness.manager.begin({ ...begin, ...keyed(principal) })).id);
    }
    expect(new Set(ids).size).toBe(3);
    expect(ids.slice(3)).toEqual(ids.slice(0, 3));
    const other = { key: scopedKey('k', ALICE), bodyHash: 'ff' };
    await expect(harness.manager.begin({ ...begin, idempotency: other })).rejects.toThrow(
      'the idempotency key k was used',
    );
  });

  it.each([
    ['k', undefined, 'k'],
    ['k', 'jwt:a b', 'k jwt:a b'],
  ])('%s of %s is known as "%s"', (sent, principal, scoped) => {
    expect(scopedKey(sent, principal)).toBe(scoped);
    expect(sentKey(scoped)).toBe(sent);
  });
});
