import { hash } from 'node:crypto';

/** Leaves of one tree. A proof then has six hashes at most, and one signature costs a leaf next to nothing. */
export const MAXIMUM_LEAVES = 64;
export const HASH_BYTES = 32;
/** The first byte under the hash of two nodes. No leaf begins with it: leaves are hashes of text. */
const NODE = 1;

/** SHA-256, a character for each byte: a buffer for each would cost more than the hash. */
export type Hash = string;

/** What shows that a leaf is in a tree whose root is known. */
export interface Proof {
  readonly index: number;
  /** the hashes beside the way to the root, from below, one after the other */
  readonly path: string;
}

export interface HashTree {
  readonly root: Hash;
  /** one for each leaf, in the same order */
  readonly proofs: readonly Proof[];
}

export function hashOf(bytes: Buffer): Hash {
  return hash('sha256', bytes, 'binary');
}

/**
 * A Merkle tree (RFC 9162, section 2.1, but a node without a neighbour rises as it is). Its shape follows from the
 * number of leaves.
 *
 * @param leaves 1 to `MAXIMUM_LEAVES`
 */
export function hashTree(leaves: readonly Hash[]): HashTree {
  const paths = leaves.map(() => '');
  let level = leaves;
  for (let height = 0; level.length > 1; height++) {
    for (let index = 0; index < paths.length; index++) paths[index] += level[(index >> height) ^ 1] ?? '';
    level = parentsOf(level);
  }
  return { root: level[0]!, proofs: paths.map((path, index) => ({ index, path })) };
}

/** The root of a tree of `count` leaves with this leaf; undefined when the proof has another length. */
export function rootFrom(leaf: Hash, { index, path }: Proof, count: number): Hash | undefined {
  let node = leaf;
  let used = 0;
  for (let at = index, width = count; width > 1; at >>= 1, width = (width + 1) >> 1) {
    if ((at ^ 1) >= width) continue;
    const neighbour = path.slice(used, (used += HASH_BYTES));
    if (neighbour.length < HASH_BYTES) return undefined;
    node = at % 2 === 0 ? parentOf(node, neighbour) : parentOf(neighbour, node);
  }
  return used === path.length ? node : undefined;
}

function parentsOf(level: readonly Hash[]): Hash[] {
  const parents: Hash[] = [];
  for (let place = 0; place < level.length; place += 2) {
    const [left, right] = [level[place]!, level[place + 1]];
    parents.push(right === undefined ? left : parentOf(left, right));
  }
  return parents;
}

const parentContent = Buffer.alloc(1 + 2 * HASH_BYTES, NODE);

function parentOf(left: Hash, right: Hash): Hash {
  parentContent.write(left, 1, 'latin1');
  parentContent.write(right, 1 + HASH_BYTES, 'latin1');
  return hashOf(parentContent);
}
