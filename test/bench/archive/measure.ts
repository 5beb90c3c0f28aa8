import { randomBytes, randomInt } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { TransactionState } from '@concordat/commit-protocol';
import type { SnapshotPieces } from '@concordat/raft';
import { CompressedEndedTransactions, RaftDecisionLog } from '../../../apps/coordinator/src/index.js';
import { usedMs } from '../../support/turn-watch.js';
import { percentile } from '../statistics.js';
import { CODINGS } from './codings.js';
import { TransferMaker } from './transfers.js';

const LOOK_UPS = 2_000;
/** Added in a turn of the event loop; a block of them is sealed in each. */
const TURN = 128;
const ABSENT = 20_000;
const PAGES = 300;
const PAGE = 100;
const LARGE = 10;
const LARGE_BYTES = 1_000_000;

/**
 * Of an archive with one coding, full of transfers. Times are processor time: of the main thread for turns, which is
 * exact to some milliseconds, otherwise of all threads.
 */
export interface CodingResult {
  /** as the archive counts them, blocks and index */
  readonly bytesEach: number;
  /** resident memory that is not the heap of V8 */
  readonly outsideBytesEach: number;
  readonly heapBytesEach: number;
  readonly idP50Ms: number;
  readonly idP99Ms: number;
  /** 0 without keys, like the next */
  readonly keyP50Ms: number;
  readonly keyP99Ms: number;
  readonly absentMicroseconds: number;
  readonly addMicroseconds: number;
  /** the longest turns: of adding 128 transfers, and one of a megabyte that hardly compresses */
  readonly longestAddMs: number;
  readonly longestLargeAddMs: number;
  /** of a list of 100 */
  readonly pageP50Ms: number;
  readonly pageP99Ms: number;
  readonly snapshotMs: number;
  readonly longestPieceMs: number;
  readonly restoreMs: number;
  readonly longestRestoreStepMs: number;
}

/** In a process of its own, whose memory is measured. */
export function measureCoding(name: string, transactions: number, keys: boolean): CodingResult {
  const coding = CODINGS[name];
  if (!coding) throw new Error(`there is no coding "${name}"`);
  const maker = new TransferMaker(keys);
  // what compiles functions and grows the heap once is not part of what is measured
  fill(new CompressedEndedTransactions({ coding }), maker, 20_000);
  const archive = new CompressedEndedTransactions({ coding });
  const before = memory();
  const { samples, addMs, longestAddMs } = fill(archive, maker, transactions);
  const after = memory();
  const absentMs = busyMs(() => {
    for (let count = 0; count < ABSENT; count++) archive.get(maker.newId());
  });
  const [ids, byKey] = [
    times(samples, ({ id }) => archive.get(id)?.transactionId === id),
    keys ? times(samples, ({ id, key }) => archive.findByKey(key)?.transactionId === id) : [],
  ];
  const pages = times(samples.slice(0, PAGES), ({ id }) => [...firstOf(archive.newestFirst(id), PAGE)].length <= PAGE);
  return {
    bytesEach: archive.sizeBytes / transactions,
    outsideBytesEach: (after.outside - before.outside) / transactions,
    heapBytesEach: (after.heap - before.heap) / transactions,
    idP50Ms: percentile(ids, 0.5),
    idP99Ms: percentile(ids, 0.99),
    keyP50Ms: percentile(byKey, 0.5),
    keyP99Ms: percentile(byKey, 0.99),
    absentMicroseconds: (absentMs * 1_000) / ABSENT,
    addMicroseconds: (addMs * 1_000) / transactions,
    longestAddMs,
    pageP50Ms: percentile(pages, 0.5),
    pageP99Ms: percentile(pages, 0.99),
    ...snapshotOf(archive, new CompressedEndedTransactions({ coding })),
    longestLargeAddMs: longestLargeAdd(new CompressedEndedTransactions({ coding }), maker),
  };
}

interface Sample {
  readonly id: string;
  readonly key: string;
}

function fill(archive: CompressedEndedTransactions, maker: TransferMaker, transactions: number) {
  const samples: Sample[] = [];
  const sampleEvery = Math.max(1, Math.floor(transactions / LOOK_UPS));
  let [addMs, longestAddMs] = [0, 0];
  for (let count = 0; count < transactions; count += TURN) {
    const added = Array.from({ length: TURN }, () => maker.transfer());
    const startMs = usedMs();
    addMs += busyMs(() => {
      for (const transaction of added) archive.add(transaction);
    });
    longestAddMs = Math.max(longestAddMs, usedMs() - startMs);
    if (count % sampleEvery >= TURN) continue;
    const { transactionId: id, claims } = added[randomInt(TURN)]!;
    samples.push({ id, key: claims[0]?.key ?? '' });
  }
  return { samples: shuffled(samples), addMs, longestAddMs };
}

/** Makes a snapshot as the node does, and restores another archive from it. */
function snapshotOf(archive: CompressedEndedTransactions, other: CompressedEndedTransactions) {
  const log = new RaftDecisionLog(archive);
  const pieces: Uint8Array[] = [];
  let longestPieceMs = 0;
  const snapshotMs = busyMs(() => {
    const made = log.stateMachine.takeSnapshot() as SnapshotPieces;
    longestPieceMs = longestStepMs(made, (piece) => pieces.push(piece));
    made.release();
  });
  const data = Buffer.concat(pieces);
  const metadata = {
    index: 1,
    term: 1,
    configuration: { groupId: 1, members: [], voters: [], outgoing: [], learners: [] },
  };
  let longestRestoreStepMs = 0;
  const restoreMs = busyMs(() => {
    const steps = new RaftDecisionLog(other).stateMachine.restoreSnapshot(data, metadata) as Iterable<void>;
    longestRestoreStepMs = longestStepMs(steps, () => undefined);
  });
  if (other.size !== archive.size) throw new Error('a snapshot lost transactions');
  return { snapshotMs, longestPieceMs, restoreMs, longestRestoreStepMs };
}

function longestLargeAdd(archive: CompressedEndedTransactions, maker: TransferMaker): number {
  let longestMs = 0;
  for (let count = 0; count < LARGE; count++) {
    const transaction = withPayload(maker.transfer(), textOf(LARGE_BYTES));
    const startMs = usedMs();
    archive.add(transaction);
    longestMs = Math.max(longestMs, usedMs() - startMs);
  }
  return longestMs;
}

function withPayload(transaction: TransactionState, payload: string): TransactionState {
  const [first, ...others] = transaction.branches;
  const operations = [{ operation: 'store', payload, keys: [] }];
  return { ...transaction, branches: [{ ...first!, operations }, ...others] };
}

/** Words of random letters and digits. */
function textOf(sizeBytes: number): string {
  let text = '';
  while (text.length < sizeBytes) text += `${randomBytes(4).readUInt32BE().toString(36)} `;
  return text;
}

function* firstOf<T>(values: Iterable<T>, count: number): Iterable<T> {
  let left = count;
  for (const value of values) {
    yield value;
    if (--left === 0) return;
  }
}

function times(samples: readonly Sample[], find: (sample: Sample) => boolean): number[] {
  return samples.map((sample) => {
    let isFound = false;
    const tookMs = busyMs(() => {
      isFound = find(sample);
    });
    if (!isFound) throw new Error(`transaction ${sample.id} is lost`);
    return tookMs;
  });
}

function longestStepMs<T>(steps: Iterable<T>, take: (value: T) => void): number {
  let longestMs = 0;
  let startMs = usedMs();
  for (const step of steps) {
    take(step);
    longestMs = Math.max(longestMs, usedMs() - startMs);
    startMs = usedMs();
  }
  return Math.max(longestMs, usedMs() - startMs);
}

function busyMs(action: () => void): number {
  const start = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1_000;
}

function shuffled<T>(values: T[]): T[] {
  for (let left = values.length; left > 1; left--) {
    const other = randomInt(left);
    [values[left - 1], values[other]] = [values[other]!, values[left - 1]!];
  }
  return values;
}

function memory(): { outside: number; heap: number } {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  return { outside: rss - heapTotal, heap: heapUsed };
}
