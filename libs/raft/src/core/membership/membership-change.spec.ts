import { describe, expect, it } from '@jest/globals';
import { changed, type MembershipChange, type MembershipRefusal } from './membership-change.js';
import { FIRST_INCARNATION, knownMember, TEST_GROUP_ID } from '../testing/members.js';
import type { Configuration, NodeId } from '../types.js';

/** Voters 1, 2 and 3, learner 4. */
const before: Configuration = {
  groupId: TEST_GROUP_ID,
  members: [1, 2, 3, 4].map((nodeId) => knownMember(nodeId)),
  voters: [1, 2, 3],
  outgoing: [],
  learners: [4],
};

const add = (nodeId: NodeId): MembershipChange => ({ type: 'add-learner', member: knownMember(nodeId) });
const promote = (nodeId: NodeId): MembershipChange => ({ type: 'promote', nodeId });
const demote = (nodeId: NodeId): MembershipChange => ({ type: 'demote', nodeId });
const remove = (nodeId: NodeId): MembershipChange => ({ type: 'remove', nodeId });

/** Members, voters, outgoing voters and learners after the change, or why there is none. */
function outcomeOf(...changes: MembershipChange[]): readonly (readonly NodeId[])[] | string {
  const outcome = changed(before, changes, () => FIRST_INCARNATION);
  if ('refused' in outcome) return outcome.refused;
  const { members, voters, outgoing, learners } = outcome.configuration;
  return [members.map(({ nodeId }) => nodeId), voters, outgoing, learners];
}

describe('a change of the membership', () => {
  it.each<[string, MembershipChange[], NodeId[][]]>([
    ['a learner comes at once', [add(5)], [[1, 2, 3, 4, 5], [1, 2, 3], [], [4, 5]]],
    ['members stay in the order of their ids', [remove(4), add(9), add(6)], [[1, 2, 3, 6, 9], [1, 2, 3], [], [6, 9]]],
    ['a learner goes at once', [remove(4)], [[1, 2, 3], [1, 2, 3], [], []]],
    ['a promotion is joint', [promote(4)], [[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3], []]],
    [
      'a demotion is joint',
      [demote(3)],
      [
        [1, 2, 3, 4],
        [1, 2],
        [1, 2, 3],
        [3, 4],
      ],
    ],
    ['a voter that goes stays until the joint one is left', [remove(3)], [[1, 2, 3, 4], [1, 2], [1, 2, 3], [4]]],
    ['a replacement is one step', [promote(4), remove(1)], [[1, 2, 3, 4], [2, 3, 4], [1, 2, 3], []]],
    ['all voters but one may go', [remove(1), remove(2)], [[1, 2, 3, 4], [3], [1, 2, 3], [4]]],
    [
      'a learner may be the only voter left',
      [promote(4), remove(1), remove(2), remove(3)],
      [[1, 2, 3, 4], [4], [1, 2, 3], []],
    ],
  ])('%s', (_name, changes, after) => {
    expect(outcomeOf(...changes)).toEqual(after);
  });

  it.each<[string, MembershipChange[], MembershipRefusal]>([
    ['nothing', [], 'INVALID_CHANGE'],
    ['a node twice', [add(5), promote(5)], 'INVALID_CHANGE'],
    ['an unsound member', [add(0)], 'INVALID_CHANGE'],
    ['a member that is there', [add(2)], 'ALREADY_MEMBER'],
    ['a learner that is there', [add(4)], 'ALREADY_MEMBER'],
    ['the promotion of a stranger', [promote(7)], 'UNKNOWN_MEMBER'],
    ['the demotion of a stranger', [demote(7)], 'UNKNOWN_MEMBER'],
    ['the removal of a stranger', [remove(7)], 'UNKNOWN_MEMBER'],
    ['the promotion of a voter', [promote(1)], 'NOT_A_LEARNER'],
    ['the demotion of a learner', [demote(4)], 'NOT_A_VOTER'],
    ['the removal of all voters', [remove(1), remove(2), remove(3)], 'LAST_VOTER'],
    ['one sound step beside one that is not', [add(5), promote(7)], 'UNKNOWN_MEMBER'],
  ])('is refused: %s', (_name, changes, refusal) => {
    expect(outcomeOf(...changes)).toBe(refusal);
  });

  it('is refused when the group would be too large', () => {
    const learners = Array.from({ length: 61 }, (_, at) => add(at + 10));
    expect(outcomeOf(...learners)).toBe('INVALID_CHANGE');
  });

  it('changes nothing in what was there before', () => {
    const copy = structuredClone(before);
    outcomeOf(add(5), promote(4), remove(1), demote(2));
    expect(before).toEqual(copy);
  });
});
