import { CodedError } from '@concordat/foundation';
import type { EndedTransactionsSnapshot } from './ended-archive.js';

/**
 * A snapshot of the decision log: magic, then sections, each with its length in 4 bytes (big-endian): the state
 * as JSON, what the archive holds uncompressed as JSON, and its sealed blocks as they are.
 */
const MAGIC = Buffer.from('CDS1');

/** A snapshot that this version cannot read. */
export class SnapshotDecodeError extends CodedError {
  readonly code = 'SNAPSHOT_UNREADABLE';
  readonly retryable = false;
}

export function encodeSnapshot(state: unknown, archive: EndedTransactionsSnapshot): Uint8Array {
  const sections = [
    Buffer.from(JSON.stringify(state)),
    Buffer.from(JSON.stringify(archive.recent)),
    ...archive.sealed.map((block) => Buffer.from(block.buffer, block.byteOffset, block.byteLength)),
  ];
  const parts: Buffer[] = [MAGIC];
  for (const section of sections) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(section.length);
    parts.push(length, section);
  }
  return Buffer.concat(parts);
}

/** @throws SnapshotDecodeError */
export function decodeSnapshot<State>(data: Uint8Array): { state: State; archive: EndedTransactionsSnapshot } {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new SnapshotDecodeError('the snapshot has another format than this version reads');
  }
  const sections: Buffer[] = [];
  for (let offset = MAGIC.length; offset < bytes.length;) {
    if (offset + 4 > bytes.length) throw new SnapshotDecodeError('the snapshot is cut short');
    const end = offset + 4 + bytes.readUInt32BE(offset);
    if (end > bytes.length) throw new SnapshotDecodeError('the snapshot is cut short');
    sections.push(bytes.subarray(offset + 4, end));
    offset = end;
  }
  const [state, recent, ...sealed] = sections;
  if (!state || !recent) throw new SnapshotDecodeError('the snapshot is cut short');
  try {
    return {
      state: JSON.parse(state.toString('utf8')) as State,
      archive: { recent: JSON.parse(recent.toString('utf8')) as EndedTransactionsSnapshot['recent'], sealed },
    };
  } catch (cause) {
    throw new SnapshotDecodeError('the snapshot holds no JSON', { cause });
  }
}
