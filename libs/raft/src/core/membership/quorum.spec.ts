import { describe, expect, it } from '@jest/globals';
import { hasQuorum, quorumSize, reachedByQuorum } from './quorum.js';
import { TEST_GROUP_ID } from '../testing/members.js';
import type { Configuration } from '../types.js';

function configuration(voters: readonly number[], outgoing: readonly number[] = []): Configuration {
  return { groupId: TEST_GROUP_ID, members: [], voters, outgoing, learners: [] };
}

describe('quorums', () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
    [6, 4],
    [7, 4],
  ])('a majority of %p voters are %p', (voters, majority) => {
    expect(quorumSize(voters)).toBe(majority);
  });

  it('need voters', () => {
    expect(() => quorumSize(0)).toThrow('a group has voters');
  });

  it.each<[string, number[], number[], Record<number, number>, number]>([
    ['one voter', [1], [], { 1: 7 }, 7],
    ['two voters: the lesser', [1, 2], [], { 1: 7, 2: 4 }, 4],
    ['three voters: the middle', [1, 2, 3], [], { 1: 7, 2: 4, 3: 5 }, 5],
    ['four voters: the third', [1, 2, 3, 4], [], { 1: 9, 2: 8, 3: 7, 4: 6 }, 7],
    ['five voters: the third', [1, 2, 3, 4, 5], [], { 1: 9, 2: 8, 3: 7, 4: 6, 5: 5 }, 7],
    ['unknown voters have reached nothing', [1, 2, 3], [], { 1: 9 }, 0],
    ['who is no voter does not count', [1, 2, 3], [], { 1: 9, 4: 9, 5: 9 }, 0],
    ['joint: the lesser of both halves', [1, 2, 3], [3, 4, 5], { 1: 9, 2: 9, 3: 1, 4: 5, 5: 6 }, 5],
    ['joint: one half alone is not enough', [1, 2, 3], [4, 5], { 1: 9, 2: 9, 3: 9, 4: 9 }, 0],
    ['numbers are compared as numbers', [1, 2, 3], [], { 1: 100, 2: 20, 3: 3 }, 20],
  ])('reach what a majority has reached: %s', (_name, voters, outgoing, values, reached) => {
    expect(reachedByQuorum(configuration(voters, outgoing), (voter) => values[voter] ?? 0)).toBe(reached);
  });

  it('pass a test when a majority of each half passes', () => {
    const joint = configuration([1, 2, 3], [3, 4, 5]);
    const passes = (...voters: number[]): boolean => hasQuorum(joint, (voter) => voters.includes(voter));
    expect([passes(1, 2), passes(4, 5), passes(1, 2, 4), passes(1, 2, 4, 5), passes(1, 3, 5)]).toEqual([
      false,
      false,
      false,
      true,
      true,
    ]);
  });
});
