import { kafkajsFile } from './kafkajs.js';

/** Enough for most requests. Node.js takes a buffer of this size from its pool. */
const FIRST_SIZE_BYTES = 256;

/** The part of kafkajs' `Encoder` that allocates. */
interface Encoder {
  buf: Buffer;
  readonly offset: number;
}

interface EncoderClass {
  nextPowerOfTwo: (value: number) => number;
  readonly prototype: Encoder & { ensureAvailable: (this: Encoder, bytes: number) => void };
}

let isInstalled = false;

/**
 * Every part of a request of kafkajs 2.2.4 begins with 512 bytes of its own, cleared and outside the heap, so that a
 * request of 100 bytes costs several of them and their collection. This allocates when the first byte is written, and
 * from the pool of Node.js. Only written bytes are ever read.
 */
export function allocateEncodersFromPool(): void {
  if (isInstalled) return;
  isInstalled = true;
  const encoder = kafkajsFile('protocol/encoder.js') as EncoderClass;
  encoder.nextPowerOfTwo = () => 0; // the size of a new one
  encoder.prototype.ensureAvailable = function (bytes) {
    const needed = this.offset + bytes;
    if (needed <= this.buf.length) return;
    const grown = Buffer.allocUnsafe(Math.max(FIRST_SIZE_BYTES, 2 * needed));
    this.buf.copy(grown, 0, 0, this.offset);
    this.buf = grown;
  };
}
