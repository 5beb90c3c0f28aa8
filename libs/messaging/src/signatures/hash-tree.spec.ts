import { describe, expect, it } from '@jest/globals';
import { HASH_BYTES, hashTree, MAXIMUM_LEAVES, rootFrom, sha256, type Proof } from './hash-tree.js';

const leavesOf = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, place) => sha256(Buffer.from(`leaf ${place}`)));
const COUNTS = Array.from({ length: MAXIMUM_LEAVES }, (_, place) => place + 1);

describe('a hash tree', () => {
  it('proves each leaf, at its place and in a tree of this size only', () => {
    for (const count of COUNTS) {
      const leaves = leavesOf(count);
      const { root, proofs } = hashTree(leaves);
      const proves = (leaf: Buffer, { path }: Proof, index: number): boolean =>
        rootFrom(leaf, { index, path }, count)?.equals(root) === true;
      const placesOf = (proof: Proof): number[] =>
        [...leaves.keys()].filter((index) => proves(leaves[proof.index]!, proof, index));
      expect(proofs.map(placesOf)).toEqual([...leaves.keys()].map((place) => [place]));
      expect(proofs.filter((proof) => proves(leaves[proof.index + 1] ?? root, proof, proof.index))).toEqual(
        count === 1 ? proofs : [],
      );
      const longest = Math.max(...proofs.map(({ path }) => path.length / HASH_BYTES));
      expect(longest).toBe(Math.ceil(Math.log2(count)));
    }
  });

  it('proves no inner node as a leaf, and nothing by a path of another length', () => {
    const leaves = leavesOf(4);
    const { root, proofs } = hashTree(leaves);
    const { path } = proofs[0]!;
    const parent = sha256(Buffer.of(1), leaves[0]!, leaves[1]!);
    expect(rootFrom(parent, { index: 0, path: path.subarray(HASH_BYTES) }, 2)).toEqual(root); // so the size is signed
    expect(rootFrom(parent, { index: 0, path: path.subarray(HASH_BYTES) }, 4)).toBeUndefined();
    for (const length of [0, 31, 32, 33, 63]) {
      expect(rootFrom(leaves[0]!, { index: 0, path: path.subarray(0, length) }, 4)).toBeUndefined();
    }
    expect(rootFrom(leaves[0]!, { index: 0, path: Buffer.concat([path, path]) }, 4)).toBeUndefined();
  });
});
