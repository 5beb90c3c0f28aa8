const LENGTH_BYTES = 4;

/** The messages that one turn of the event loop sends: each with its length before it. The same bytes on both wires. */
export function encodeBatch(messages: readonly Buffer[]): Buffer {
  const bytes = Buffer.allocUnsafe(messages.reduce((sum, { length }) => sum + LENGTH_BYTES + length, 0));
  let at = 0;
  for (const message of messages) {
    at = bytes.writeUInt32BE(message.length, at);
    at += message.copy(bytes, at);
  }
  return bytes;
}

export function decodeBatch(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const from = at + LENGTH_BYTES;
    at = from + bytes.readUInt32BE(at);
    messages.push(bytes.subarray(from, at));
  }
  return messages;
}

/** Gathers what is sent in one turn, as the ends of a direct stream do. */
export class Batcher {
  private waiting: Buffer[] = [];

  constructor(private readonly write: (batch: Buffer) => void) {}

  send(message: Buffer): void {
    this.waiting.push(message);
    if (this.waiting.length > 1) return;
    setImmediate(() => {
      const messages = this.waiting;
      this.waiting = [];
      this.write(encodeBatch(messages));
    });
  }
}

/** Splits the bytes of a socket into batches, each with its length before it. */
export class BatchReader {
  private rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Buffer[] {
    const batches: Buffer[] = [];
    let bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    while (bytes.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + bytes.readUInt32BE(0);
      if (bytes.length < end) break;
      batches.push(bytes.subarray(LENGTH_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.rest = bytes;
    return batches;
  }
}

/** As it goes over a socket: one buffer, one write. */
export function withLength(batch: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + batch.length);
  bytes.writeUInt32BE(batch.length, 0);
  batch.copy(bytes, LENGTH_BYTES);
  return bytes;
}
