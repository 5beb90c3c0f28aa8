import { describe, expect, it } from '@jest/globals';
import type { LockLease, LogRecord, TransactionState } from '@concordat/commit-protocol';
import { SeededRandom, randomInteger } from '@concordat/foundation';
import { decodeRecord, encodeRecord, RecordDecodeError } from './record-codec.js';
import {
  decodeSnapshot,
  encodeSnapshot,
  PIECE_BYTES,
  PIECE_ITEMS,
  SnapshotDecodeError,
  type DecodedSnapshot,
} from './snapshot-codec.js';

describe('record codec', () => {
  const record: LogRecord = { type: 'participant', name: 'bänk ☃', operations: ['débit'], at: 7 };

  it('gives back what was encoded, also from the midst of a larger buffer', () => {
    const command = encodeRecord(record);
    expect(command[0]).toBe(1);
    const buffer = Buffer.concat([Buffer.alloc(13, 0xff), command, Buffer.alloc(5, 0xff)]);
    expect(decodeRecord(buffer.subarray(13, 13 + command.length))).toEqual(record);
  });

  it('keeps the owner of a transaction, and reads records of versions without owners', () => {
    const begin: LogRecord = {
      type: 'begin',
      transactionId: 't1',
      protocol: '2pc',
      branches: [],
      closed: false,
      at: 1,
      deadline: 2,
      metadata: {},
    };
    // as version 0.1.0 wrote it
    const old = Buffer.concat([Buffer.of(1), Buffer.from(JSON.stringify(begin))]);
    expect(Buffer.from(encodeRecord(begin))).toEqual(old);
    expect(decodeRecord(old)).toEqual(begin);
    const owned: LogRecord = { ...begin, owner: 'jwt:älice' };
    expect(decodeRecord(encodeRecord(owned))).toEqual(owned);
  });

  it('refuses another version, and what is cut short', () => {
    expect(() => decodeRecord(Uint8Array.of(2, 123, 125))).toThrow(RecordDecodeError);
    expect(() => decodeRecord(new Uint8Array())).toThrow(RecordDecodeError);
    const command = encodeRecord(record);
    for (let length = 0; length < command.length; length++) {
      expect(() => decodeRecord(command.subarray(0, length))).toThrow(RecordDecodeError);
    }
  });
});

describe('snapshot codec', () => {
  const remainder = {
    participants: [{ name: 'bank-a', operations: ['debit'] }],
    watermark: 17,
    time: { now: 19, steppedTo: 18 },
    bornAt: 16,
    oldRulings: [],
  };
  const sealed = [Uint8Array.of(1, 2, 3), new Uint8Array(), Uint8Array.of(255)];

  function transaction(number: number, metadata: TransactionState['metadata'] = { note: '☃' }): TransactionState {
    return {
      transactionId: `t${number}`,
      protocol: '2pc',
      createdAt: 1,
      deadline: 2,
      metadata,
      claims: [{ key: `key-${number}`, bodyHash: 'ab' }],
      branches: [{ branchId: 'b', participant: 'bank-a', operations: [], selfPrepared: true, vote: 'yes' }],
      closed: false,
      logIndex: number,
    };
  }

  function stateOf(
    open: Iterable<TransactionState>,
    unpublished: Iterable<TransactionState> = [],
    locks: readonly LockLease[] = [],
  ) {
    return { open: () => open, unpublished: () => unpublished, remainder, locks };
  }

  function lease(number: number): LockLease {
    const index = { fencingToken: number, renewedIndex: number };
    return { name: `lock-${number}`, owner: 'a', ...index, ttlMs: 1_000, expiresAt: 20 };
  }

  /** All steps at once. */
  function decode(data: Uint8Array): DecodedSnapshot {
    const steps = decodeSnapshot(data);
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
    }
  }

  const small = (): Buffer =>
    Buffer.concat([
      ...encodeSnapshot(stateOf([transaction(1)], [transaction(2)]), { recent: [transaction(3)], sealed }),
    ]);

  it('gives back what was encoded', () => {
    const decoded = decode(small());
    expect(decoded.state).toEqual({ open: [transaction(1)], unpublished: [transaction(2)], locks: [], ...remainder });
    expect(decoded.archive.recent).toEqual([transaction(3)]);
    expect(decoded.archive.sealed.map((block) => [...block])).toEqual([[1, 2, 3], [], [255]]);
  });

  it('has the format that is written down here', () => {
    const one = (kind: string, content: string): string =>
      Buffer.from(`${kind}${Buffer.byteLength(content).toString(16).padStart(8, '0')}`, 'hex').toString('latin1') +
      content;
    const bare = (number: number): string => JSON.stringify([transaction(number, {})]);
    const pieces = encodeSnapshot(stateOf([transaction(1, {})], [transaction(2, {})]), {
      recent: [transaction(3, {})],
      sealed: [Buffer.from('block')],
    });
    const text = Array.from(pieces, (piece) => Buffer.from(piece).toString('latin1')).join('');
    const expected = [
      'CDS3',
      one(
        '01',
        '{"participants":[{"name":"bank-a","operations":["debit"]}],"watermark":17,"time":{"now":19,"steppedTo":18},"bornAt":16,"oldRulings":[]}',
      ),
      one('02', bare(1)),
      one('03', bare(2)),
      one('05', 'block'),
      one('04', bare(3)),
      one('00', ''),
    ];
    expect(text).toBe(expected.join(''));
  });

  it('carries locks in pieces, in a version of its own that is not needed without locks', () => {
    const locks = Array.from({ length: 1_000 }, (_, number) => lease(number + 1));
    const pieces = [...encodeSnapshot(stateOf([transaction(1)], [], locks), { recent: [], sealed })];
    const data = Buffer.concat(pieces);
    expect(data.subarray(0, 4).toString()).toBe('CDS4');
    expect(small().subarray(0, 4).toString()).toBe('CDS3');
    expect(decode(data).state.locks).toEqual(locks);
    expect(pieces.filter((piece) => piece[0] === 6)).toHaveLength(Math.ceil(1_000 / PIECE_ITEMS));
  });

  it('makes pieces one by one as they are asked for, each of few transactions and bytes', () => {
    let read = 0;
    function* open(): Iterable<TransactionState> {
      for (; read < 10_000; read++) yield transaction(read);
    }
    const blocks = Array.from({ length: 300 }, () => new Uint8Array(8_000));
    const pieces = encodeSnapshot(stateOf(open()), { recent: [], sealed: blocks });
    const all: Uint8Array[] = [];
    let before = 0;
    for (let piece = pieces.next(); !piece.done; piece = pieces.next()) {
      all.push(piece.value);
      expect(read - before).toBeLessThanOrEqual(PIECE_ITEMS);
      expect(piece.value.length).toBeLessThan(2 * PIECE_BYTES);
      before = read;
    }
    expect(all.length).toBeGreaterThan(10_000 / PIECE_ITEMS + (300 * 8_000) / (2 * PIECE_BYTES));
    const decoded = decode(Buffer.concat(all));
    expect(decoded.state.open).toHaveLength(10_000);
    expect(decoded.state.open.at(-1)).toEqual(transaction(9_999));
    expect(decoded.archive.sealed).toHaveLength(300);
  });

  it('ends a piece behind large transactions', () => {
    const large = Array.from({ length: 6 }, (_, number) => transaction(number, { text: 'x'.repeat(PIECE_BYTES / 2) }));
    const pieces = [...encodeSnapshot(stateOf(large), { recent: [], sealed: [] })];
    expect(pieces.filter(({ length }) => length > PIECE_BYTES)).toHaveLength(3);
    expect(decode(Buffer.concat(pieces)).state.open).toEqual(large);
  });

  it('refuses another format, and sections that are missing, unknown or cut short', () => {
    const data = small();
    const end = Buffer.alloc(5);
    for (const garbage of [new Uint8Array(), Buffer.from('CDS3'), Buffer.from('CDS2'), Buffer.from('garbage')]) {
      expect(() => decode(garbage)).toThrow(SnapshotDecodeError);
    }
    expect(() => decode(Buffer.concat([Buffer.from('CDS3'), end]))).toThrow('lacks a section');
    expect(() => decode(Buffer.concat([Buffer.from('CDS3'), Buffer.of(9, 0, 0, 0, 0), end]))).toThrow('unknown');
    for (let length = 0; length < data.length; length++) {
      expect(() => decode(data.subarray(0, length))).toThrow(SnapshotDecodeError);
    }
    expect(() => decode(Buffer.concat([data, Buffer.alloc(3)]))).toThrow('bytes after its end');
  });

  it('ends every random damage of its frame in its own error, or not at all', () => {
    const random = new SeededRandom(5);
    const data = small();
    for (let round = 0; round < 2_000; round++) {
      const damaged = Buffer.from(data);
      damaged[randomInteger(random, 0, damaged.length - 1)] = randomInteger(random, 0, 255);
      try {
        decode(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(SnapshotDecodeError);
      }
    }
  });
});
