import { createHash, randomInt, randomUUID } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { brotliCompressSync, brotliDecompressSync, constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import type { BranchState, TransactionState } from '@concordat/commit-protocol';
import { SystemRandom, UuidV7Generator } from '@concordat/foundation';
import { CompressedEndedTransactions, DecodedBlock, encodeBlock } from '../../apps/coordinator/src/index.js';
import { formatTable, type Bar } from './report.js';

/** Every coding gets the same transactions in blocks of its own size; all sizes divide this one. */
const CHUNK = 1_024;
/** Of the blocks of each coding, one in so many is kept to be looked up in. */
const KEPT_EVERY = 64;
const LOOK_UPS = 500;
const MICROSECONDS = 1_000;

/** A way to turn a block of ended transactions into bytes. */
interface Coding {
  readonly name: string;
  readonly blockSize: number;
  encode(transactions: readonly TransactionState[]): Uint8Array;
  /** decompresses the block and takes one transaction out of it */
  find(bytes: Uint8Array, transactionId: string): TransactionState | undefined;
}

/** The coding of the coordinator. */
const COLUMNS: Coding = {
  name: 'columns',
  blockSize: 128,
  encode: encodeBlock,
  find: (bytes, transactionId) => {
    const block = new DecodedBlock(bytes);
    for (let row = block.size - 1; row >= 0; row--) {
      if (block.idAt(row) === transactionId) return block.transactionAt(row);
    }
    return undefined;
  },
};

/** The simplest one: the JSON of the records, compressed. */
function compressedJson(
  name: string,
  blockSize: number,
  [compress, decompress]: readonly [(text: string) => Buffer, (bytes: Uint8Array) => Buffer],
): Coding {
  return {
    name: `JSON, ${name}`,
    blockSize,
    encode: (transactions) => compress(JSON.stringify(transactions)),
    find: (bytes, wanted) => {
      const block = JSON.parse(decompress(bytes).toString()) as TransactionState[];
      return block.find(({ transactionId }) => transactionId === wanted);
    },
  };
}

const deflate = (level: number) => [(text: string) => deflateRawSync(text, { level }), inflateRawSync] as const;
const brotli = (quality: number) =>
  [
    (text: string) => brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }),
    brotliDecompressSync,
  ] as const;

const CODINGS: readonly Coding[] = [
  COLUMNS,
  compressedJson('deflate 6', 128, deflate(6)),
  compressedJson('brotli 5', 128, brotli(5)),
];

export interface CodingResult {
  readonly coding: string;
  readonly blockSize: number;
  /** bytes of a transaction in its block */
  readonly blockBytes: number;
  readonly sealMicroseconds: number;
  /** of a transaction in a block that is not decompressed yet */
  readonly lookUpMs: number;
}

export interface ArchiveResult {
  readonly keys: boolean;
  readonly transactions: number;
  /** of the archive as the coordinator has it, for each transaction */
  readonly archiveBytes: number;
  readonly indexBytes: number;
  readonly heapBytes: number;
  readonly restoreMs: number;
  readonly lookUpMs: number;
  readonly absentMicroseconds: number;
  readonly codings: readonly CodingResult[];
}

/** Memory and look-up time of the archive of ended transactions, and of simpler codings of its blocks. */
export function measureArchive(transactions: number): ArchiveResult[] {
  return [false, true].map((keys) => measure(Math.ceil(transactions / CHUNK) * CHUNK, keys));
}

export function archiveTable({ keys, transactions, indexBytes, codings, ...archive }: ArchiveResult): string {
  const columns = codings[0]!;
  const total = (one: CodingResult): number => one.blockBytes + indexBytes;
  const rows = codings.map((one) => [
    `${one.coding}, blocks of ${one.blockSize}`,
    total(one).toFixed(1),
    (total(one) / total(columns)).toFixed(2),
    one.lookUpMs.toFixed(2),
    (one.lookUpMs / columns.lookUpMs).toFixed(2),
    one.sealMicroseconds.toFixed(1),
  ]);
  const header = ['coding', 'bytes with index', 'ratio', 'look-up ms', 'ratio', 'seal µs'];
  return [
    `${transactions} ended transfers, ${keys ? 'with an idempotency key each' : 'without idempotency keys'}`,
    formatTable(header, rows),
    `the archive: ${archive.archiveBytes.toFixed(1)} bytes each, ${archive.heapBytes.toFixed(1)} of the heap; ` +
      `restored in ${archive.restoreMs.toFixed(0)} ms; look-up ${archive.lookUpMs.toFixed(2)} ms, ` +
      `of one that is not there ${archive.absentMicroseconds.toFixed(1)} µs`,
  ].join('\n');
}

export function archiveBars(results: readonly ArchiveResult[]): Bar[] {
  return results.flatMap(({ keys, indexBytes, codings }) =>
    codings.map(({ coding, blockSize, blockBytes }) => ({
      label: `${coding} ${blockSize}${keys ? ', keys' : ''}`,
      value: blockBytes + indexBytes,
    })),
  );
}

function measure(transactions: number, keys: boolean): ArchiveResult {
  const maker = new TransferMaker(keys);
  const archive = new CompressedEndedTransactions();
  const tallies = CODINGS.map((coding) => new Tally(coding));
  const ids: string[] = [];
  const heapBefore = heapBytes();
  for (let made = 0; made < transactions; made += CHUNK) {
    const chunk = Array.from({ length: CHUNK }, () => maker.transfer());
    for (const transaction of chunk) archive.add(transaction);
    for (const tally of tallies) tally.take(chunk);
    ids.push(chunk[randomInt(CHUNK)]!.transactionId);
  }
  const heap = heapBytes() - heapBefore;
  const { sealed } = archive.takeSnapshot();
  const blockBytes = sealed.reduce((sum, block) => sum + block.byteLength, 0);
  return {
    keys,
    transactions,
    archiveBytes: archive.sizeBytes / transactions,
    indexBytes: (archive.sizeBytes - blockBytes) / transactions,
    heapBytes: heap / transactions,
    lookUpMs: elapsedMs(LOOK_UPS, () => archive.get(ids[randomInt(ids.length)]!)),
    absentMicroseconds: elapsedMs(100_000, () => archive.get(maker.newId())) * MICROSECONDS,
    restoreMs: elapsedMs(1, () => Array.from(archive.restoreSnapshot(archive.takeSnapshot()))),
    codings: tallies.map((tally) => tally.result(transactions)),
  };
}

/** What one coding takes. */
class Tally {
  private readonly keptIds: string[] = [];
  private readonly kept: Uint8Array[] = [];
  private blocks = 0;
  private sizeBytes = 0;
  private sealMs = 0;

  constructor(private readonly coding: Coding) {}

  take(chunk: readonly TransactionState[]): void {
    const { blockSize } = this.coding;
    for (let start = 0; start < chunk.length; start += blockSize) {
      const block = chunk.slice(start, start + blockSize);
      const startedAt = performance.now();
      const bytes = this.coding.encode(block);
      this.sealMs += performance.now() - startedAt;
      this.sizeBytes += bytes.byteLength;
      if (this.blocks++ % KEPT_EVERY !== 0) continue;
      this.kept.push(Uint8Array.from(bytes));
      this.keptIds.push(block[randomInt(block.length)]!.transactionId);
    }
  }

  result(transactions: number): CodingResult {
    const { name, blockSize } = this.coding;
    return {
      coding: name,
      blockSize,
      blockBytes: this.sizeBytes / transactions,
      sealMicroseconds: (this.sealMs * MICROSECONDS) / transactions,
      lookUpMs: elapsedMs(LOOK_UPS, () => {
        const at = randomInt(this.kept.length);
        const found = this.coding.find(this.kept[at]!, this.keptIds[at]!);
        if (!found) throw new Error(`${name} lost transaction ${this.keptIds[at]}`);
      }),
    };
  }
}

/** Makes transfers as the coordinator records them. */
class TransferMaker {
  private now = Date.UTC(2026, 0, 1);
  private logIndex = 0;
  private readonly ids = new UuidV7Generator(() => this.now, new SystemRandom());

  constructor(private readonly keys: boolean) {}

  newId(): string {
    return this.ids.next();
  }

  transfer(): TransactionState {
    this.now += randomInt(3);
    this.logIndex += randomInt(1, 4);
    const amount = randomInt(1, 1000);
    const bodyHash = createHash('sha256').update(String(this.logIndex)).digest('hex');
    return {
      transactionId: this.ids.next(),
      protocol: '2pc',
      createdAt: this.now,
      deadline: this.now + 10_000,
      metadata: {},
      claims: this.keys ? [{ key: randomUUID(), bodyHash }] : [],
      branches: [this.branch('bank-a', 'debit', amount), this.branch('bank-b', 'credit', amount)],
      closed: true,
      logIndex: this.logIndex,
      decision: 'commit',
      decidedAt: this.now + randomInt(10, 40),
      outcome: 'committed',
      endedAt: this.now + randomInt(40, 80),
    };
  }

  private branch(participant: string, operation: string, amount: number): BranchState {
    const account = `acc-${String(randomInt(1000)).padStart(4, '0')}`;
    return {
      branchId: this.ids.next(),
      participant,
      operations: [{ operation, payload: { account, amount }, keys: [account] }],
      selfPrepared: false,
      vote: 'yes',
      results: [{ account, balance: randomInt(1_000_000) }],
      end: 'committed',
    };
  }
}

function elapsedMs(times: number, action: () => unknown): number {
  const startedAt = performance.now();
  for (let time = 0; time < times; time++) action();
  return (performance.now() - startedAt) / times;
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}
