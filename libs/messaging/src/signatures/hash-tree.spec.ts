import { describe, expect, it } from '@jest/globals';
import { HASH_BYTES, hashOf, hashTree, MAXIMUM_LEAVES, rootFrom, type Hash, type Proof } from './hash-tree.js';

const leavesOf = (count: number): Hash[] =>
  Array.from({ length: count }, (_, place) => hashOf(Buffer.from(`leaf ${place}`)));
const COUNTS = Array.from({ length: MAXIMUM_LEAVES }, (_, place) => place + 1);

describe('a hash tree', () => {
  it('proves each leaf, at its place and in a tree of this size only', () => {
    for (const count of COUNTS) {
      const leaves = leavesOf(count);
      const { root, proofs } = hashTree(leaves);
      const proves = (leaf: Hash, { path }: Proof, index: number): boolean =>
        rootFrom(leaf, { index, path }, count) === root;
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
    const parent = hashOf(Buffer.from(`\u0001${leaves[0]}${leaves[1]}`, 'latin1'));
    expect(rootFrom(parent, { index: 0, path: path.slice(HASH_BYTES) }, 2)).toBe(root); // so the size is signed
    expect(rootFrom(parent, { index: 0, path: path.slice(HASH_BYTES) }, 4)).toBeUndefined();
    for (const length of [0, 31, 32, 33, 63]) {
      expect(rootFrom(leaves[0]!, { index: 0, path: path.slice(0, length) }, 4)).toBeUndefined();
    }
    expect(rootFrom(leaves[0]!, { index: 0, path: path + path }, 4)).toBeUndefined();
  });
});
