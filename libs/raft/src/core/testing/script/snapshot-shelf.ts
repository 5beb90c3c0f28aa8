import { crc32 } from 'node:zlib';
import { invariant } from '@concordat/foundation';
import type { SnapshotRead } from '../../ready.js';
import type { Snapshot, SnapshotChunk, SnapshotMetadata } from '../../types.js';

type StoredChunk = Pick<SnapshotChunk, 'metadata' | 'sizeBytes' | 'checksum' | 'offset' | 'data'>;

interface ReceivedPart {
  readonly metadata: SnapshotMetadata;
  readonly sizeBytes: number;
  readonly checksum: number;
  data: Uint8Array;
}

/** The snapshots of one scripted node: its own, and the one it is receiving. All of it survives a crash. */
export class SnapshotShelf {
  private received: ReceivedPart | undefined;

  constructor(private current: Snapshot | undefined) {}

  get snapshot(): Snapshot | undefined {
    return this.current;
  }

  take(snapshot: Snapshot): void {
    this.current = snapshot;
  }

  /** The piece asked for; undefined when the snapshot under transfer is no longer the current one. */
  read({ snapshot: wanted, offset, maximumBytes }: SnapshotRead): StoredChunk | undefined {
    if (!this.current) return undefined;
    const { metadata, data } = this.current;
    if (wanted && (wanted.index !== metadata.index || wanted.term !== metadata.term)) return undefined;
    const piece = data.slice(offset, offset + maximumBytes);
    return { metadata, sizeBytes: data.length, checksum: crc32(data), offset, data: piece };
  }

  /** Takes a piece that follows on what is there; a piece of another snapshot begins anew. */
  receive(chunk: SnapshotChunk): { readonly nextOffset: number; readonly complete: boolean } {
    if (!this.received || !isSameSnapshot(this.received, chunk)) {
      const { metadata, sizeBytes, checksum } = chunk;
      this.received = { metadata, sizeBytes, checksum, data: new Uint8Array(0) };
    }
    const { received } = this;
    if (chunk.offset === received.data.length) received.data = Buffer.concat([received.data, chunk.data]);
    const complete = received.data.length === received.sizeBytes;
    if (complete && crc32(received.data) !== received.checksum) {
      this.received = undefined;
      return { nextOffset: 0, complete: false };
    }
    return { nextOffset: received.data.length, complete };
  }

  /** The received snapshot takes the place of the current one. */
  install(metadata: SnapshotMetadata): void {
    const { received } = this;
    invariant(received && received.metadata.index === metadata.index, 'what is put into force was received');
    invariant(received.data.length === received.sizeBytes, 'what is put into force is whole');
    this.current = { metadata, data: received.data };
    this.received = undefined;
  }
}

function isSameSnapshot(received: ReceivedPart, { metadata, sizeBytes, checksum }: SnapshotChunk): boolean {
  return (
    received.metadata.index === metadata.index &&
    received.metadata.term === metadata.term &&
    received.sizeBytes === sizeBytes &&
    received.checksum === checksum
  );
}
