import { invariant } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';
import { StorageOwnerError } from './errors.js';

/** Whose directory it is; written into every file and compared at the start. */
export interface StorageOwner {
  readonly nodeId: NodeId;
  /** empty when the node was given none */
  readonly clusterName: string;
}

/** Bytes that `writeOwner` takes at most. */
export const ownerBytes = 8 + 2 + 256;

export function writeOwner(buffer: Buffer, owner: StorageOwner, offset: number): void {
  const name = Buffer.from(owner.clusterName, 'utf8');
  invariant(name.length <= 256, 'a cluster name has at most 256 bytes');
  buffer.writeBigUInt64LE(BigInt(owner.nodeId), offset);
  buffer.writeUInt16LE(name.length, offset + 8);
  name.copy(buffer, offset + 10);
}

export function readOwner(buffer: Buffer, offset: number): StorageOwner {
  const end = offset + 10 + Math.min(256, buffer.readUInt16LE(offset + 8));
  return {
    nodeId: Number(buffer.readBigUInt64LE(offset)),
    clusterName: buffer.toString('utf8', offset + 10, end),
  };
}

/** A file without a cluster name, or a node without one, fits any. */
export function checkOwner(file: string, found: StorageOwner, expected: StorageOwner): void {
  const sameCluster =
    found.clusterName === expected.clusterName || found.clusterName === '' || expected.clusterName === '';
  if (found.nodeId !== expected.nodeId || !sameCluster)
    throw new StorageOwnerError(file, describeOwner(found), describeOwner(expected));
}

/** `node 2 of cluster "blue"`. */
export function describeOwner(owner: StorageOwner): string {
  return owner.clusterName === '' ? `node ${owner.nodeId}` : `node ${owner.nodeId} of cluster "${owner.clusterName}"`;
}
