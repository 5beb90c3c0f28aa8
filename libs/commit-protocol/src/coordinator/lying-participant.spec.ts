import { describe, expect, it } from '@jest/globals';
import { FIRST_BALLOT } from '../ballots/ballot.js';
import { beginOf, branchOf, idOf, LeaderDriver } from '../testing/leader-driver.js';

const TWO = beginOf([branchOf(1), branchOf(2)]);
const THREE = beginOf([branchOf(1), branchOf(2), branchOf(3)], { protocol: '3pc' });
const DELEGATED = beginOf([branchOf(1)], { delegateTo: idOf(1, 1) });
const AS_ANOTHER = { participant: 'bank-9' };
const accepted = { type: 'accepted', ballot: FIRST_BALLOT } as const;

const preparing = (): LeaderDriver => new LeaderDriver().begun(TWO).vote(1, 'yes');
const committed = (): LeaderDriver => preparing().vote(2, 'yes').applyAll();
const delegated = (): LeaderDriver => new LeaderDriver().begun(DELEGATED);
const underBallot = (): LeaderDriver => {
  const driver = new LeaderDriver().begun(THREE);
  for (const branch of [1, 2, 3]) driver.vote(branch, 'yes');
  return driver.applyAll();
};

type Lie = (driver: LeaderDriver) => LeaderDriver;

/** What is proposed, how often somebody is alerted, and which ends are taken for true. */
interface Consequence {
  readonly proposed?: readonly string[];
  readonly alerts?: number;
  readonly ends?: readonly (string | undefined)[];
}

const LIES: [what: string, before: () => LeaderDriver, lie: Lie, consequence: Consequence][] = [
  ['yes, then no', preparing, (one) => one.vote(1, 'no'), { proposed: ['decide abort'] }],
  ['no, then yes', preparing, (one) => one.vote(2, 'no').vote(2, 'yes'), { proposed: ['decide abort'] }],
  ['yes for a stranger', preparing, (one) => one.vote(9, 'yes'), {}],
  ['yes for the branch of another', preparing, (one) => one.vote(2, 'yes', AS_ANOTHER), {}],
  ['no for the branch of another', preparing, (one) => one.vote(2, 'no', AS_ANOTHER), {}],
  ['yes under the id of another branch', preparing, (one) => one.vote(1, 'yes', { branchId: idOf(1, 2) }), {}],
  ['that it has committed before anybody decided', preparing, (one) => one.ended(2, 'committed'), { alerts: 1 }],
  ['that it only read after it had voted yes', preparing, (one) => one.ended(1, 'read-only'), { alerts: 1 }],
  ['that another one has aborted', preparing, (one) => one.ended(2, 'aborted', AS_ANOTHER), {}],
  ['that the branches decided, in two phases', preparing, (one) => one.branchesDecided(1, 'abort'), {}],
  [
    'no after it was committed',
    committed,
    (one) => one.vote(1, 'no').vote(1, 'yes'),
    { alerts: 1, ends: ['heuristic-rollback', undefined] },
  ],
  [
    'that it has aborted what is committed, and then that it has not',
    committed,
    (one) => one.ended(1, 'aborted').ended(1, 'committed'),
    { alerts: 1, ends: ['heuristic-rollback', undefined] },
  ],
  [
    'that another one has aborted what is committed',
    committed,
    (one) => one.ended(1, 'aborted', AS_ANOTHER),
    { ends: [undefined, undefined] },
  ],
  ['a vote where it is to decide by itself', delegated, (one) => one.vote(1, 'yes').vote(1, 'no'), {}],
  ['an end of a delegated branch of another', delegated, (one) => one.ended(1, 'committed', AS_ANOTHER), {}],
  [
    'that a delegated branch was committed, and then that it was not',
    delegated,
    (one) => one.ended(1, 'committed').ended(1, 'aborted'),
    { proposed: ['decide commit'] },
  ],
  [
    'that it has accepted, three times',
    underBallot,
    (one) => one.answer(1, accepted).answer(1, accepted).answer(1, accepted),
    {},
  ],
  [
    'that it has accepted what nobody has proposed',
    underBallot,
    (one) => {
      const other = { type: 'accepted', ballot: { round: 5, proposer: 0 } } as const;
      return one.answer(1, other).answer(2, other).answer(3, other);
    },
    {},
  ],
  ['no to a ballot', underBallot, (one) => one.vote(1, 'no').vote(2, 'no'), {}],
  ['that it has accepted for another', underBallot, (one) => one.answer(1, accepted).answer(2, accepted, 'bank-9'), {}],
  [
    'that the branches decided one thing, and then the other',
    underBallot,
    (one) => one.branchesDecided(1, 'abort').branchesDecided(1, 'commit').applyAll().branchesDecided(2, 'commit'),
    { alerts: 1, ends: [undefined, undefined] },
  ],
];

describe('a participant that lies', () => {
  it.each(LIES)('says %s', (_what, before, lie, { proposed = [], alerts = 0, ends }) => {
    const driver = lie(before());
    expect(driver.proposed()).toEqual(proposed);
    expect(driver.alerts).toHaveLength(alerts);
    driver.flushDone().applyAll();
    if (ends) expect([driver.endOf(1), driver.endOf(2)]).toEqual(ends);
  });
});
