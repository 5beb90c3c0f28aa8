import { hash } from 'node:crypto';

/** Leaves of one tree. A proof then has six hashes at most, and one signature costs a leaf next to nothing. */
export const MAXIMUM_LEAVES = 64;
export const HASH_BYTES = 32;
/** The first byte under the hash of two nodes. No leaf begins with it: leaves are hashes of text. */
const NODE = Buffer.of(1);

/** What shows that a leaf is in a tree whose root is known. */
export interface Proof {
  readonly index: number;
  /** the hashes beside the way to the root, from below, one after the other */
  readonly path: Buffer;
}

export interface HashTree {
  readonly root: Buffer;
  /** one for each leaf, in the same order */
  readonly proofs: readonly Proof[];
}

export function sha256(...parts: readonly Buffer[]): Buffer {
  return hash('sha256', parts.length === 1 ? parts[0]! : Buffer.concat(parts), 'buffer');
}

/**
 * A Merkle tree (RFC 9162, section 2.1, but a node without a neighbour rises as it is). Its shape follows from the
 * number of leaves.
 *
 * @param leaves hashes, 1 to `MAXIMUM_LEAVES`
 */
export function hashTree(leaves: readonly Buffer[]): HashTree {
  const paths: Buffer[][] = leaves.map(() => []);
  let level = leaves;
  for (let height = 0; level.length > 1; height++) {
    for (const [index, path] of paths.entries()) {
      const neighbour = level[(index >> height) ^ 1];
      if (neighbour) path.push(neighbour);
    }
    level = parentsOf(level);
  }
  return { root: level[0]!, proofs: paths.map((path, index) => ({ index, path: Buffer.concat(path) })) };
}

/** The root of a tree of `count` leaves with this leaf; undefined when the proof has another length. */
export function rootFrom(leaf: Buffer, { index, path }: Proof, count: number): Buffer | undefined {
  let node = leaf;
  let used = 0;
  for (let at = index, width = count; width > 1; at >>= 1, width = (width + 1) >> 1) {
    if ((at ^ 1) >= width) continue;
    const neighbour = path.subarray(used, (used += HASH_BYTES));
    node = at % 2 === 0 ? sha256(NODE, node, neighbour) : sha256(NODE, neighbour, node);
  }
  return used === path.length ? node : undefined;
}

function parentsOf(level: readonly Buffer[]): Buffer[] {
  const parents: Buffer[] = [];
  for (let place = 0; place < level.length; place += 2) {
    const [left, right] = [level[place]!, level[place + 1]];
    parents.push(right ? sha256(NODE, left, right) : left);
  }
  return parents;
}
