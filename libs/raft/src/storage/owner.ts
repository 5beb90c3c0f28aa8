import { invariant } from '@concordat/foundation';
import { formatId } from '../core/membership/addressing.js';
import type { Incarnation, NodeId } from '../core/types.js';
import { StorageOwnerError } from './errors.js';

/** The owner of a directory; written into every file and compared at the start. */
export interface StorageOwner {
  readonly nodeId: NodeId;
  /** of the directory, made once when it is empty; 0 until it is known */
  readonly incarnation: Incarnation;
  /** empty when the node has none */
  readonly clusterName: string;
}

/** The owner of a directory that is being opened: its incarnation becomes known with its first segment. */
export class DirectoryOwner implements StorageOwner {
  private known: Incarnation = 0;

  constructor(
    readonly nodeId: NodeId,
    readonly clusterName: string,
  ) {}

  get incarnation(): Incarnation {
    return this.known;
  }

  become(incarnation: Incarnation): void {
    invariant(incarnation > 0, 'an incarnation is a positive integer');
    invariant(this.known === 0 || this.known === incarnation, 'a directory has one incarnation');
    this.known = incarnation;
  }
}

/** Maximum size of `writeOwner`'s output. */
export const ownerBytes = 8 + 8 + 2 + 256;

export function writeOwner(buffer: Buffer, owner: StorageOwner, offset: number): void {
  const name = Buffer.from(owner.clusterName, 'utf8');
  invariant(name.length <= 256, 'a cluster name has at most 256 bytes');
  invariant(owner.incarnation > 0, 'files are written under a known incarnation');
  buffer.writeBigUInt64LE(BigInt(owner.nodeId), offset);
  buffer.writeBigUInt64LE(BigInt(owner.incarnation), offset + 8);
  buffer.writeUInt16LE(name.length, offset + 16);
  name.copy(buffer, offset + 18);
}

export function readOwner(buffer: Buffer, offset: number): StorageOwner {
  const end = offset + 18 + Math.min(256, buffer.readUInt16LE(offset + 16));
  return {
    nodeId: Number(buffer.readBigUInt64LE(offset)),
    incarnation: Number(buffer.readBigUInt64LE(offset + 8)),
    clusterName: buffer.toString('utf8', offset + 18, end),
  };
}

/**
 * A file or a node without a cluster name matches any; so does every incarnation before the directory's own is known. A
 * file of another incarnation is from another directory of the node.
 */
export function checkOwner(file: string, found: StorageOwner, expected: StorageOwner): void {
  const sameCluster =
    found.clusterName === expected.clusterName || found.clusterName === '' || expected.clusterName === '';
  if (found.nodeId !== expected.nodeId || !sameCluster)
    throw new StorageOwnerError(file, describeOwner(found), describeOwner(expected));
  if (expected.incarnation !== 0 && found.incarnation !== expected.incarnation)
    throw new StorageOwnerError(file, describeIncarnation(found), describeIncarnation(expected));
}

/** `node 2 of cluster "blue", incarnation 00c0ffee1234`. */
export function describeIncarnation(owner: StorageOwner): string {
  return `${describeOwner(owner)}, incarnation ${formatId(owner.incarnation)}`;
}

/** `node 2 of cluster "blue"`. */
export function describeOwner(owner: StorageOwner): string {
  return owner.clusterName === '' ? `node ${owner.nodeId}` : `node ${owner.nodeId} of cluster "${owner.clusterName}"`;
}
