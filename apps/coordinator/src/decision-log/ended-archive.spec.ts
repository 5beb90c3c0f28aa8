import { brotliCompressSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import { type BranchState, type EndedTransactions, type TransactionState } from '@concordat/commit-protocol';
import { PlainEndedTransactions } from '@concordat/commit-protocol/testing';
import {
  SeededRandom,
  UuidV7Generator,
  randomChance,
  randomInteger,
  randomItem,
  type JsonValue,
} from '@concordat/foundation';
import { jsonColumns, CorruptArchiveBlockError } from './archive-block.js';
import { CompressedEndedTransactions } from './ended-archive.js';

const START = Date.UTC(2026, 0, 1);

/** Makes ended transactions of many shapes; its time goes on by a few milliseconds with each. */
class Maker {
  now = START;
  private logIndex = 0;
  private readonly ids: UuidV7Generator;

  constructor(readonly random: SeededRandom) {
    this.ids = new UuidV7Generator(() => this.now, random);
  }

  /** @param age how long before now it began, so that ids do not come in order */
  ended(changes: Partial<TransactionState> = {}, age = 0): TransactionState {
    this.now += randomInteger(this.random, 0, 5);
    const ids = age === 0 ? this.ids : new UuidV7Generator(() => this.now - age, this.random);
    const committed = randomChance(this.random, 0.8);
    return {
      transactionId: ids.next(),
      protocol: '2pc',
      createdAt: this.now - age,
      deadline: this.now + 10_000,
      metadata: randomChance(this.random, 0.1) ? { note: 'naïve ☃', ratio: 0.1, none: null } : {},
      claims: randomChance(this.random, 0.5) ? [{ key: `key-${this.random.uint32()}`, bodyHash: this.hash() }] : [],
      branches: Array.from({ length: randomInteger(this.random, 1, 3) }, () => this.branch(committed)),
      closed: true,
      decision: committed ? 'commit' : 'abort',
      ...(!committed && { cause: { reason: 'CLIENT_ABORTED', detail: 'the client said so' } }),
      decidedAt: this.now + 1,
      outcome: committed ? 'committed' : 'aborted',
      endedAt: this.now + randomInteger(this.random, 2, 30),
      logIndex: (this.logIndex += 2),
      ...changes,
    };
  }

  private branch(committed: boolean): BranchState {
    const amount = randomInteger(this.random, 1, 1000);
    const account = `acc-${randomInteger(this.random, 0, 99)}`;
    return {
      branchId: this.ids.next(),
      participant: randomItem(this.random, ['bank-a', 'bank-b']),
      operations: [{ operation: 'debit', payload: { account, amount }, keys: [account] }],
      selfPrepared: false,
      ...(committed ? { vote: 'yes', results: [{ balance: amount * 2 }] } : {}),
      end: committed ? 'committed' : 'aborted',
    };
  }

  private hash(): string {
    return Array.from({ length: 8 }, () => this.random.uint32().toString(16).padStart(8, '0')).join('');
  }
}

function small(options: { blockSize?: number; decodedBlocks?: number } = {}): CompressedEndedTransactions {
  return new CompressedEndedTransactions({ blockSize: 4, decodedBlocks: 2, hashSeed: 1, ...options });
}

function filled(archive: EndedTransactions, count: number, seed = 1): TransactionState[] {
  const maker = new Maker(new SeededRandom(seed));
  return Array.from({ length: count }, () => {
    const transaction = maker.ended();
    archive.add(transaction);
    return transaction;
  });
}

function idsOf(transactions: Iterable<TransactionState>): string[] {
  return Array.from(transactions, ({ transactionId }) => transactionId);
}

describe('a block of ended transactions', () => {
  it('gives back what it was made of', () => {
    const maker = new Maker(new SeededRandom(2));
    const transactions = Array.from({ length: 100 }, () => maker.ended());
    const block = jsonColumns.decode(jsonColumns.encode(transactions));
    expect(block.rows.map((row) => row.read())).toEqual(transactions);
    expect(block.rows.map(({ id }) => id)).toEqual(idsOf(transactions));
    expect(block.rows[3]!.keys).toEqual(transactions[3]!.claims.map(({ key }) => key));
    expect(block.rows[3]!.endedAt).toBe(transactions[3]!.endedAt);
  });

  it.each<[string, readonly JsonValue[]]>([
    ['texts that look like UUIDs', ['01234567-89ab-7def-8123-456789abcdef', 'ffffffff-ffff-4fff-bfff-ffffffffffff']],
    ['the smallest UUID', ['00000000-0000-0000-0000-000000000000', '00000000-0000-1000-0000-000000000000']],
    ['UUIDs in capitals', ['01234567-89AB-7DEF-8123-456789ABCDEF', '01234567-89ab-7def-8123-456789abcdef']],
    ['hexadecimal texts', ['0123456789abcdef', 'ffffffffffffffff']],
    ['hexadecimal texts of unequal length', ['0123456789abcdef', 'ffffffffffffffffff']],
    ['extreme numbers', [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0, 1e300, 0.1]],
    ['growing numbers', [1_000_000, 1_000_001, 1_000_005]],
    ['numbers and texts mixed', [1, '1', 2]],
    ['values of every type', [null, true, false, 0, '', [], {}, [[]], { a: [{ b: null }] }]],
    ['unequal shapes', [{ a: 1 }, { b: 1 }, { a: 1, b: 1 }, { 7: 1, a: '0' }, { '\u0000': 0 }]],
    ['a field called __proto__', [JSON.parse('{"__proto__":{"a":1},"b":2}') as JsonValue, 1]],
  ])('keeps %s', (_name, payloads) => {
    const maker = new Maker(new SeededRandom(3));
    const transactions = payloads.map((payload) => maker.ended({ metadata: { payload } }));
    const block = jsonColumns.decode(jsonColumns.encode(transactions));
    const read = block.rows.map((row) => row.read());
    expect(JSON.stringify(read)).toBe(JSON.stringify(transactions));
  });

  it('keeps branches that are too large to be taken apart, beside others', () => {
    const maker = new Maker(new SeededRandom(12));
    const [first, second] = [maker.ended(), maker.ended()];
    const [branch] = first.branches;
    const payload = Array.from({ length: 100_000 }, (_, number) => number % 3);
    const large = { ...first, branches: [{ ...branch!, operations: [{ operation: 'store', payload, keys: [] }] }] };
    const block = jsonColumns.decode(jsonColumns.encode([large, second]));
    expect(block.rows.map((row) => row.read())).toEqual([large, second]);
    expect(block.rows[0]!.id).toBe(first.transactionId);
  });

  it('refuses bytes that are none', () => {
    const maker = new Maker(new SeededRandom(4));
    const bytes = jsonColumns.encode([maker.ended(), maker.ended()]);
    const rotten = Uint8Array.from(bytes).fill(0xff, 6, 12);
    const texts = [
      '[',
      'null',
      '{"shapes":[],"shapeOfRow":[0]}',
      '{"shapes":[{"json":"[0]","columns":[[]]}],"shapeOfRow":[0]}',
    ];
    const compressed = texts.map((text) => brotliCompressSync(text));
    for (const wrong of [new Uint8Array(0), bytes.subarray(0, 20), bytes.subarray(0, -1), rotten, ...compressed]) {
      expect(() => jsonColumns.decode(wrong)).toThrow(CorruptArchiveBlockError);
    }
  });
});

describe('the archive of ended transactions', () => {
  it('is empty at first', () => {
    const archive = small();
    expect(archive.size).toBe(0);
    expect(archive.oldestEndedAt()).toBeUndefined();
    expect(idsOf(archive.newestFirst())).toEqual([]);
    expect(archive.get('00000000-0000-7000-8000-000000000000')).toBeUndefined();
    expect(archive.findByKey('none')).toBeUndefined();
    expect(archive.takeSnapshot()).toEqual({ sealed: [], recent: [] });
  });

  it('seals a block when it is full and still finds every transaction by id and by key', () => {
    const archive = small();
    const transactions = filled(archive, 11);
    expect(archive.takeSnapshot().sealed).toHaveLength(2);
    expect(archive.takeSnapshot().recent).toEqual(transactions.slice(8));
    for (const transaction of transactions) {
      expect(archive.get(transaction.transactionId)).toEqual(transaction);
      for (const { key } of transaction.claims) expect(archive.findByKey(key)).toEqual(transaction);
    }
  });

  it('drops a block when the newest of it ended before the watermark, and recent ones one by one', () => {
    const archive = small();
    const maker = new Maker(new SeededRandom(5));
    const transactions = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100].map((endedAt) => maker.ended({ endedAt }));
    for (const transaction of transactions) archive.add(transaction);
    archive.expire(40);
    expect([archive.size, archive.oldestEndedAt()]).toEqual([10, 10]);
    archive.expire(41);
    expect([archive.size, archive.oldestEndedAt()]).toEqual([6, 50]);
    expect(archive.get(transactions[0]!.transactionId)).toBeUndefined();
    archive.expire(95);
    expect([archive.size, archive.oldestEndedAt()]).toEqual([1, 100]);
    archive.expire(101);
    expect([archive.size, archive.oldestEndedAt()]).toEqual([0, undefined]);
  });

  it('drops a block whose end was late without waiting for those before it', () => {
    const archive = small({ blockSize: 1 });
    const maker = new Maker(new SeededRandom(6));
    for (const endedAt of [500, 10, 20]) archive.add(maker.ended({ endedAt }));
    archive.expire(100);
    expect([archive.size, archive.oldestEndedAt()]).toEqual([1, 500]);
  });

  it('gives a key that is used again after its expiry to the new transaction', () => {
    const archive = small({ blockSize: 1 });
    const maker = new Maker(new SeededRandom(7));
    const claims = [{ key: 'again', bodyHash: 'aa' }];
    archive.add(maker.ended({ claims, endedAt: 10 }));
    archive.expire(11);
    expect(archive.findByKey('again')).toBeUndefined();
    const second = maker.ended({ claims, endedAt: 20 });
    archive.add(second);
    expect(archive.findByKey('again')).toEqual(second);
  });

  it('gives its memory back when most of it has expired', () => {
    const archive = small({ blockSize: 128 });
    filled(archive, 4096);
    const full = archive.sizeBytes;
    archive.expire(Infinity);
    expect(archive.size).toBe(0);
    expect(archive.sizeBytes).toBeLessThan(full / 10);
  });

  it('tells the time at which few enough are left, from all blocks and the rest', () => {
    for (const archive of [small(), new PlainEndedTransactions()]) {
      const transactions = filled(archive, 30);
      expect(archive.endedBefore(30, Infinity)).toBeUndefined();
      for (const keep of [29, 20, 3, 1, 0]) {
        const before = archive.endedBefore(keep, Infinity)!;
        archive.expire(before);
        expect(archive.size).toBeLessThanOrEqual(keep);
        expect(archive.size).toBeGreaterThan(keep - 5);
        const younger = transactions.filter(({ endedAt }) => endedAt! >= before);
        expect(idsOf(archive.newestFirst())).toEqual(expect.arrayContaining(idsOf(younger)));
      }
    }
  });

  it('tells the time at which few enough bytes are left', () => {
    for (const archive of [small(), new PlainEndedTransactions()]) {
      filled(archive, 30);
      const full = archive.sizeBytes;
      expect(archive.endedBefore(Infinity, full)).toBeUndefined();
      archive.expire(archive.endedBefore(Infinity, full / 2)!);
      expect(archive.sizeBytes).toBeLessThan(full * 0.8); // an index shrinks late, which counts only where so little is kept
      expect(archive.size).toBeGreaterThan(8);
    }
  });

  it('decompresses no more blocks than a page needs', () => {
    const archive = small({ decodedBlocks: 100 });
    const transactions = filled(archive, 40);
    const read: TransactionState[] = [];
    for (const transaction of archive.newestFirst(transactions[20]!.transactionId)) {
      read.push(transaction);
      if (read.length === 5) break;
    }
    expect(read).toEqual(transactions.slice(15, 20).reverse());
    expect(archive.decodedCount).toBe(2); // rows 16 to 19, and 12 to 15
  });

  it('goes on with a walk through what is added to, sealed and dropped meanwhile', () => {
    const archive = small();
    const transactions = filled(archive, 10);
    const walk = archive.newestFirst()[Symbol.iterator]();
    const first = walk.next().value as TransactionState;
    archive.expire(Infinity);
    const rest = Array.from({ length: 9 }, () => walk.next().value as TransactionState);
    expect([first, ...rest]).toEqual(transactions.toReversed());
    expect(walk.next().done).toBe(true);
  });

  it('holds equal blocks on nodes that add and expire the same, whatever the seed of their index', () => {
    const [a, b] = [small({ blockSize: 8 }), new CompressedEndedTransactions({ blockSize: 8, hashSeed: 99 })];
    for (const archive of [a, b]) {
      const transactions = filled(archive, 30, 8);
      archive.expire(transactions[20]!.endedAt!);
      filled(archive, 30, 9);
    }
    expect(a.takeSnapshot()).toEqual(b.takeSnapshot());
  });

  it('shares sealed blocks with a snapshot, which later changes do not touch', () => {
    const archive = small();
    const transactions = filled(archive, 6);
    const snapshot = archive.takeSnapshot();
    expect(archive.takeSnapshot().sealed[0]).toBe(snapshot.sealed[0]);
    filled(archive, 6, 2);
    archive.expire(Infinity);
    const restored = small();
    filled(restored, 9, 3); // replaced
    Array.from(restored.restoreSnapshot(snapshot));
    expect(idsOf(restored.newestFirst())).toEqual(idsOf(transactions).sort().reverse());
    expect(restored.size).toBe(6);
  });

  it('seals the same blocks after a restart as without one', () => {
    const [straight, before, after] = [small(), small(), small()];
    filled(straight, 6);
    filled(before, 6);
    Array.from(after.restoreSnapshot(before.takeSnapshot()));
    for (const archive of [straight, after]) filled(archive, 20, 2);
    expect(after.takeSnapshot()).toEqual(straight.takeSnapshot());
  });

  it('is as it was after a snapshot that cannot be read', () => {
    const archive = small();
    const transactions = filled(archive, 9);
    const { sealed } = archive.takeSnapshot();
    const unreadable = archive.restoreSnapshot({ sealed: [sealed[0]!, new Uint8Array(3)], recent: [] });
    expect(() => Array.from(unreadable)).toThrow(CorruptArchiveBlockError);
    expect(idsOf(archive.newestFirst())).toEqual(idsOf(transactions).sort().reverse());
  });

  it('shows what it had until the last step of a restore, also to a walk that goes on beyond it', () => {
    const [archive, other] = [small({ blockSize: 100 }), small({ blockSize: 100 })];
    const old = filled(archive, 3_000, 4);
    const wanted = idsOf(filled(other, 3_000, 5))
      .sort()
      .reverse();
    const walk = archive.newestFirst()[Symbol.iterator]();
    const walked = [walk.next().value as TransactionState];
    let steps = 0;
    for (const _ of archive.restoreSnapshot(other.takeSnapshot())) {
      steps++;
      expect([archive.size, archive.get(old[0]!.transactionId)]).toEqual([3_000, old[0]]);
    }
    expect(steps).toBeGreaterThan(1);
    expect(idsOf(archive.newestFirst())).toEqual(wanted);
    for (let next = walk.next(); next.done !== true; next = walk.next()) walked.push(next.value);
    expect(idsOf(walked)).toEqual(idsOf(old).sort().reverse());
    expect(other.get(wanted[0]!)).toEqual(archive.get(wanted[0]!));
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('does what the plain one does (seed %i)', (seed) => {
    const random = new SeededRandom(seed);
    const maker = new Maker(random);
    let archive = small({ blockSize: randomInteger(random, 1, 20), decodedBlocks: randomInteger(random, 1, 3) });
    const plain = new PlainEndedTransactions();
    const known: TransactionState[] = [];
    let watermark = 0;
    for (let step = 0; step < 400; step++) {
      const transaction = maker.ended({}, randomChance(random, 0.1) ? randomInteger(random, 0, 500) : 0);
      for (const target of [archive, plain]) target.add(transaction);
      known.push(transaction);
      if (randomChance(random, 0.02)) {
        watermark = Math.max(watermark, maker.now - randomInteger(random, 50, 500));
        for (const target of [archive, plain]) target.expire(watermark);
      }
      if (randomChance(random, 0.02)) {
        const restored = small({ blockSize: randomInteger(random, 1, 20) });
        Array.from(restored.restoreSnapshot(archive.takeSnapshot()));
        archive = restored;
      }
      const asked = randomItem(random, known);
      // it may keep for a while what has expired; what has not must be there, and nothing else
      const kept = asked.endedAt! >= watermark || archive.get(asked.transactionId) !== undefined;
      expect(archive.get(asked.transactionId)).toEqual(kept ? asked : undefined);
      for (const { key } of asked.claims) expect(archive.findByKey(key)).toEqual(kept ? asked : undefined);
      if (step % 40 > 0) continue;
      const below = randomChance(random, 0.5) ? asked.transactionId : undefined;
      const walked = [...archive.newestFirst(below)];
      expect(walked.filter(({ endedAt }) => endedAt! >= watermark)).toEqual([...plain.newestFirst(below)]);
      expect(idsOf(walked)).toEqual(idsOf(walked).sort().reverse());
      expect(archive.size).toBe([...archive.newestFirst()].length);
      expect(archive.oldestEndedAt()).toBe(Math.min(...Array.from(archive.newestFirst(), ({ endedAt }) => endedAt!)));
    }
  });
});
