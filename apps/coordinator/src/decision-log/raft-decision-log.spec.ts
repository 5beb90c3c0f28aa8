import { describe, expect, it } from '@jest/globals';
import type { ApplyResult, LogRecord } from '@concordat/commit-protocol';
import { SeededRandom, UuidV7Generator, VirtualClock } from '@concordat/foundation';
import { memberOf, RaftNode, type SnapshotPieces } from '@concordat/raft';
import { MemoryNetwork, MemoryStorage } from '@concordat/raft/testing';
import type { AppliedRecord, Leadership } from './decision-log.js';
import { CompressedEndedTransactions } from './ended-archive.js';
import { RaftDecisionLog } from './raft-decision-log.js';
import { encodeRecord } from './record-codec.js';

/** One node that leads itself; its disk outlives its restarts. */
class Fixture {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(3);
  readonly network = new MemoryNetwork({ clock: this.clock, random: this.random });
  readonly storage = new MemoryStorage({ clock: this.clock, delayMs: () => 1 });
  readonly ids = new UuidV7Generator(() => this.clock.now(), this.random);
  log!: RaftDecisionLog;
  node!: RaftNode<ApplyResult>;
  fatal: Error[] = [];
  applied: AppliedRecord[] = [];
  told: [Leadership, number | undefined][] = [];

  constructor(private readonly snapshotAfterBytes = 16 * 1024 * 1024) {}

  async start(): Promise<void> {
    const log = new RaftDecisionLog(new CompressedEndedTransactions({ blockSize: 4, hashSeed: 1 }));
    this.log = log;
    this.applied = [];
    this.told = [];
    log.onApplied((applied) => this.applied.push(applied));
    log.onLeadership((leadership, replacedThrough) => this.told.push([leadership, replacedThrough]));
    this.node = new RaftNode<ApplyResult>({
      nodeId: 1,
      members: [memberOf(1)],
      storage: this.storage,
      transport: this.network.transport(1),
      stateMachine: log.stateMachine,
      clock: this.clock,
      random: this.random,
      snapshotAfterBytes: this.snapshotAfterBytes,
      onFatal: (error) => this.fatal.push(error),
    });
    log.attach(this.node);
    await this.node.start();
    await this.until(() => log.leadership().epoch !== undefined);
  }

  async restart(): Promise<void> {
    await this.end(this.node.stop());
    await this.start();
  }

  append(record: LogRecord): Promise<ApplyResult> {
    return this.end(this.log.append(record));
  }

  /** Begins, decides and ends transactions, and leaves one open. */
  async fill(count: number): Promise<void> {
    await this.append({ type: 'participant', name: 'bank-a', operations: ['debit'], at: this.clock.now() });
    for (let made = 0; made < count; made++) {
      const at = this.clock.now();
      const transactionId = this.ids.next();
      const branch = { branchId: this.ids.next(), participant: 'bank-a', operations: [] };
      await this.append({
        type: 'begin',
        transactionId,
        protocol: '2pc',
        branches: [branch],
        closed: true,
        at,
        deadline: at + 1_000,
        metadata: { note: 'naïve ☃' },
        idempotency: { key: `key-${made}`, bodyHash: 'ab' },
      });
      if (made === count - 1) break;
      const { branchId } = branch;
      const reports = [{ branchId, vote: 'yes' as const, results: [{ balance: made }] }];
      await this.append({ type: 'decide', transactionId, decision: 'commit', reports, at });
      const items = [{ transactionId, branchId, end: 'committed' as const }];
      await this.append({ type: 'branches-done', items, publishedIndex: made * 3, at });
    }
  }

  /** Everything the log knows, comparable. */
  content(): unknown {
    const { state } = this.log;
    return JSON.parse(JSON.stringify({ ...state.takeSnapshot(), all: [...state.newestFirst()] }));
  }

  async until(condition: () => boolean): Promise<void> {
    const end = this.clock.monotonic() + 60_000;
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (condition()) return;
      if (this.clock.monotonic() > end || !this.clock.fireNext()) throw new Error('the condition never held');
    }
  }

  async end<T>(promise: Promise<T>): Promise<T> {
    let ended = false;
    void Promise.allSettled([promise]).then(() => (ended = true));
    await this.until(() => ended);
    return promise;
  }
}

async function started(snapshotAfterBytes?: number): Promise<Fixture> {
  const fixture = new Fixture(snapshotAfterBytes);
  await fixture.start();
  return fixture;
}

describe('RaftDecisionLog', () => {
  it('applies what it appended before the promise resolves, and tells listeners the index', async () => {
    const fixture = await started();
    const record: LogRecord = { type: 'participant', name: 'bank-a', operations: ['debit'], at: 1 };
    expect(await fixture.append(record)).toEqual({ transactions: [] });
    expect(fixture.log.state.participant('bank-a')?.operations).toEqual(new Set(['debit']));
    expect(fixture.applied).toMatchObject([{ record, index: fixture.node.status().appliedIndex }]);
  });

  it('gives back why the state machine refused a record', async () => {
    const fixture = await started();
    const record: LogRecord = { type: 'commit-requested', transactionId: fixture.ids.next(), at: 1 };
    expect(await fixture.append(record)).toEqual({ refusal: 'UNKNOWN_TRANSACTION', transactions: [] });
  });

  it('leads from the moment its no-op is applied, once per term', async () => {
    const fixture = await started();
    const { epoch, leaderId } = fixture.log.leadership();
    expect(leaderId).toBe(1);
    expect(epoch).toEqual({ term: fixture.node.status().term, index: 2 }); // behind the configuration
    expect(fixture.told.filter(([leadership]) => leadership.epoch)).toHaveLength(1);
    await fixture.append({ type: 'expire', before: 1 });
    expect(fixture.log.leadership().epoch).toBe(epoch);
    await fixture.end(fixture.log.confirmLeadership());
  });

  it('neither appends nor confirms when it does not lead', async () => {
    const log = new RaftDecisionLog(new CompressedEndedTransactions());
    const notLeading = { reason: 'no-leader', retryable: true };
    await expect(log.append({ type: 'expire', before: 1 })).rejects.toMatchObject(notLeading);
    await expect(log.confirmLeadership()).rejects.toMatchObject(notLeading);
    const fixture = await started();
    await fixture.end(fixture.node.stop());
    await expect(fixture.log.append({ type: 'expire', before: 1 })).rejects.toMatchObject(notLeading);
    await expect(fixture.log.confirmLeadership()).rejects.toMatchObject(notLeading);
    expect(fixture.log.leadership().epoch).toBeUndefined();
  });

  it('says that the fate of a record is unknown when the node stops under it', async () => {
    const fixture = await started();
    const fate = fixture.log.append({ type: 'expire', before: 1 });
    const caught = fate.catch((error: unknown) => error);
    await new Promise<void>((resolve) => setImmediate(resolve)); // it is on its way to the disk
    await fixture.end(fixture.node.stop());
    expect(await fixture.end(caught)).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  });

  it('says of what can never be appended that it is too large', async () => {
    const fixture = await started();
    const record: LogRecord = { type: 'participant', name: 'x'.repeat(20_000_000), operations: [], at: 1 };
    await expect(fixture.append(record)).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE', retryable: false });
  });

  it('comes to the same state from its log after a restart', async () => {
    const fixture = await started();
    await fixture.fill(12);
    const before = fixture.content();
    await fixture.restart();
    expect(fixture.storage.stored().snapshot).toBeUndefined();
    expect(fixture.content()).toEqual(before);
    expect(fixture.log.state.findClaim('key-0')).toMatchObject({ claim: { bodyHash: 'ab' } });
    expect(fixture.log.state.openCount).toBe(1);
    expect(fixture.fatal).toEqual([]);
  });

  it('comes to the same state from a snapshot and the log behind it, and says through which index', async () => {
    const fixture = await started(2_000);
    await fixture.fill(12);
    await fixture.until(() => fixture.storage.stored().snapshot !== undefined);
    const before = fixture.content();
    await fixture.restart();
    const { snapshot } = fixture.storage.stored();
    expect(snapshot).toBeDefined();
    expect(fixture.told[0]?.[1]).toBe(snapshot?.metadata.index);
    expect(fixture.content()).toEqual(before);
    expect(fixture.log.state.findClaim('key-0')).toMatchObject({ claim: { bodyHash: 'ab' } });
    expect(fixture.log.state.participant('bank-a')?.operations).toEqual(new Set(['debit']));
    expect(fixture.fatal).toEqual([]);
  });

  it('stops rather than skip a record it cannot read', async () => {
    const fixture = await started();
    fixture.node.propose(Buffer.from([9, 1, 2])).catch(() => undefined);
    await fixture.until(() => fixture.fatal.length > 0);
    expect(fixture.fatal[0]?.message).toContain('version 9');
  });
});

describe('RaftDecisionLog, a snapshot of much', () => {
  const OPEN = 1_500;
  const AT = Date.UTC(2026, 0, 1);

  /** A log without a node: the test applies what it likes. */
  class Applied {
    readonly log = new RaftDecisionLog(new CompressedEndedTransactions({ blockSize: 16, hashSeed: 1 }));
    readonly ids = new UuidV7Generator(() => AT, new SeededRandom(9));
    readonly open: { readonly transactionId: string; readonly branchId: string }[] = [];
    private index = 0;

    apply(record: LogRecord): void {
      this.log.stateMachine.apply(encodeRecord(record), ++this.index, 1);
    }

    begin(): void {
      const [transactionId, branchId] = [this.ids.next(), this.ids.next()];
      const branch = { branchId, participant: 'bank-a', operations: [{ operation: 'debit', payload: 1, keys: [] }] };
      const idempotency = { key: `key-${this.index}`, bodyHash: 'ab' };
      const times = { at: AT, deadline: AT + 1_000 };
      this.apply({
        type: 'begin',
        protocol: '2pc',
        transactionId,
        branches: [branch],
        closed: true,
        metadata: {},
        idempotency,
        ...times,
      });
      this.open.push({ transactionId, branchId });
    }

    /** The oldest open one commits, and it ends when it is not to stay decided. */
    commitOldest(ends: boolean): void {
      const { transactionId, branchId } = this.open.shift()!;
      const reports = [{ branchId, vote: 'yes' as const, results: [{ index: this.index }] }];
      this.apply({ type: 'decide', transactionId, decision: 'commit', reports, at: AT + this.index });
      if (!ends) return;
      const items = [{ transactionId, branchId, end: 'committed' as const }];
      this.apply({ type: 'branches-done', items, publishedIndex: this.index - 10, at: AT + this.index });
    }

    pieces(): SnapshotPieces {
      const pieces = this.log.stateMachine.takeSnapshot();
      if (pieces instanceof Uint8Array) throw new TypeError('the snapshot is made at once');
      return pieces;
    }

    content(): string {
      const { state } = this.log;
      return JSON.stringify({ ...state.takeSnapshot(), ended: [...state.archive.newestFirst()] });
    }
  }

  function filled(): Applied {
    const applied = new Applied();
    applied.apply({ type: 'participant', name: 'bank-a', operations: ['debit'], at: AT });
    for (let number = 0; number < OPEN; number++) applied.begin();
    for (let number = 0; number < 100; number++) applied.commitOldest(number % 4 !== 0);
    return applied;
  }

  function restored(data: Uint8Array): Applied {
    const applied = new Applied();
    const configuration = { groupId: 1, members: [], voters: [], outgoing: [], learners: [] };
    Array.from(applied.log.stateMachine.restoreSnapshot(data, { index: 1, term: 1, configuration }) as Iterable<void>);
    return applied;
  }

  it('is that of one index, although every kind of change comes between its pieces', () => {
    const applied = filled();
    const expected = applied.content();
    const pieces = applied.pieces();
    const made: Uint8Array[] = [];
    for (const piece of pieces) {
      made.push(piece);
      for (let number = 0; number < 60; number++) applied.commitOldest(number % 3 !== 0);
      for (let number = 0; number < 40; number++) applied.begin();
      applied.apply({ type: 'participant', name: `bank-${made.length}`, operations: ['debit'], at: AT });
      applied.apply({ type: 'expire', before: AT + made.length * 100 });
    }
    expect(made.length).toBeGreaterThan(6);
    expect(applied.content()).not.toBe(expected);
    expect(restored(Buffer.concat(made)).content()).toBe(expected);
    expect(Buffer.concat([...pieces]).equals(Buffer.concat(made))).toBe(true);
    pieces.release();
  });

  it('is the same on two nodes that applied the same', () => {
    const [one, other] = [filled(), filled()];
    const bytes = (applied: Applied): Buffer => Buffer.concat([...applied.pieces()]);
    expect(bytes(one).equals(bytes(other))).toBe(true);
    expect(bytes(restored(bytes(one))).equals(bytes(one))).toBe(true);
  });
});
