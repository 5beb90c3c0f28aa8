import { brotliCompressSync, brotliDecompressSync, constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import type { TransactionState } from '@concordat/commit-protocol';
import { jsonColumns, type ArchivedRow, type BlockCoding } from '../../../apps/coordinator/src/index.js';
import { typedColumns } from './column-block.js';

type Compressor = readonly [(text: string) => Buffer, (bytes: Uint8Array) => Buffer];

const deflate = (level: number): Compressor => [(text) => deflateRawSync(text, { level }), inflateRawSync];
const brotli = (quality: number): Compressor => [
  (text) => brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }),
  brotliDecompressSync,
];

/** Nothing but the records as JSON, one in a line, compressed. */
function lines([compress, decompress]: Compressor): BlockCoding {
  return {
    encode: (transactions) => new Uint8Array(compress(transactions.map((one) => JSON.stringify(one)).join('\n'))),
    decode: (bytes) => {
      const text = decompress(bytes).toString();
      return { rows: text.split('\n').map((line) => new Line(line)), sizeBytes: text.length };
    },
  };
}

class Line implements ArchivedRow {
  private parsed: TransactionState | undefined;

  constructor(private readonly text: string) {}

  /** Without parsing the line, which makes a look-up as fast as it can be. */
  get id(): string {
    return /^\{"transactionId":"([^"]+)"/.exec(this.text)![1]!;
  }

  get endedAt(): number {
    return this.read().endedAt!;
  }

  get keys(): string[] {
    return this.read().claims.map(({ key }) => key);
  }

  read(): TransactionState {
    return (this.parsed ??= JSON.parse(this.text) as TransactionState);
  }
}

/** By name; the first one is that of the coordinator, the second what the others are compared with. */
export const CODINGS: Readonly<Record<string, BlockCoding>> = {
  'JSON columns, brotli 4': jsonColumns,
  'typed columns, deflate 3': typedColumns,
  'plain JSON, brotli 4': lines(brotli(4)),
  'plain JSON, brotli 5': lines(brotli(5)),
  'plain JSON, deflate 6': lines(deflate(6)),
};

export const BASE = 'typed columns, deflate 3';
