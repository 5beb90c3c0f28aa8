import { describe, expect, it } from '@jest/globals';
import { randomChance, randomInteger, SeededRandom } from '@concordat/foundation';
import { MAXIMUM_ROUND_JUMP, stepAcceptor, type AcceptorState } from './acceptor.js';
import { BallotProposer } from './ballot-proposer.js';
import {
  compareBallots,
  FIRST_BALLOT,
  MAXIMUM_ROUND,
  isPossibleBallot,
  majorityOf,
  proposerNumber,
  type AcceptedValue,
  type Acceptor,
  type Ballot,
  type BallotAnswer,
  type BallotRequest,
} from './ballot.js';
import type { Decision } from '../vocabulary/types.js';

const acceptors: readonly Acceptor[] = ['a', 'b', 'c'].map((name) => ({ branchId: name, participant: `bank-${name}` }));
const ready: AcceptorState = { vote: 'yes', promised: undefined, accepted: undefined, decision: undefined };
const ballot = (round: number, proposer: number): Ballot => ({ round, proposer });

describe('ballots', () => {
  it.each([
    { left: ballot(0, 0), right: ballot(1, 0), order: -1 },
    { left: ballot(1, 2), right: ballot(1, 1), order: 1 },
    { left: ballot(2, 1), right: ballot(2, 1), order: 0 },
    { left: ballot(1, 9), right: ballot(2, 0), order: -1 },
  ])('are ordered by round, then by proposer: $left, $right', ({ left, right, order }) => {
    expect(Math.sign(compareBallots(left, right))).toBe(order);
  });

  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
  ])('of %d acceptors need %d', (count, majority) => {
    expect(majorityOf(count)).toBe(majority);
  });

  it.each([
    { made: ballot(0, 0), possible: true },
    { made: ballot(0, 1), possible: false },
    { made: ballot(1, 3), possible: true },
    { made: ballot(1, 4), possible: false },
    { made: ballot(-1, 0), possible: false },
    { made: ballot(1.5, 0), possible: false },
    { made: ballot(MAXIMUM_ROUND + 1, 0), possible: false },
    { made: ballot(Number.NaN, 0), possible: false },
    { made: ballot(1, -1), possible: false },
  ])('cannot have just any numbers: $made', ({ made, possible }) => {
    expect(isPossibleBallot(made, acceptors.length)).toBe(possible);
  });

  it('number the branches by their place in the set', () => {
    expect(proposerNumber(acceptors, 'b')).toBe(2);
    expect(proposerNumber(acceptors, 'x')).toBeUndefined();
  });
});

describe('an acceptor', () => {
  const promise: BallotRequest = { type: 'promise', ballot: ballot(2, 1) };
  const accept: BallotRequest = { type: 'accept', ballot: ballot(2, 1), value: 'commit' };

  it('promises, accepts, and says later what it accepted', () => {
    const promised = stepAcceptor(ready, promise);
    if (promised.type !== 'answer') throw new Error('it answers');
    expect(promised.answer).toEqual({ type: 'promised', ballot: ballot(2, 1), accepted: undefined });
    const accepted = stepAcceptor(promised.state, accept);
    if (accepted.type !== 'answer') throw new Error('it answers');
    expect(accepted.answer).toEqual({ type: 'accepted', ballot: ballot(2, 1) });
    expect(stepAcceptor(accepted.state, { type: 'promise', ballot: ballot(3, 2) })).toMatchObject({
      answer: { type: 'promised', accepted: { ballot: ballot(2, 1), value: 'commit' } },
    });
  });

  it.each<{ what: string; state: AcceptorState; request: BallotRequest; step: object }>([
    {
      what: 'refuses a lower promise',
      state: { ...ready, promised: ballot(3, 0) },
      request: promise,
      step: { answer: { type: 'outbid', ballot: ballot(2, 1), promised: ballot(3, 0) } },
    },
    {
      what: 'refuses a lower acceptance',
      state: { ...ready, promised: ballot(3, 0) },
      request: accept,
      step: { answer: { type: 'outbid' }, state: { accepted: undefined } },
    },
    { what: 'repeats itself', state: { ...ready, promised: ballot(2, 1) }, request: promise, step: { type: 'answer' } },
    {
      what: 'tells the decision it knows',
      state: { ...ready, decision: 'commit' },
      request: promise,
      step: { answer: { type: 'decided', decision: 'commit' } },
    },
    {
      what: 'promises without a vote, votes no by that, and says so: that it has no vote decides nothing',
      state: { ...ready, vote: undefined },
      request: promise,
      step: {
        state: { vote: 'no', promised: ballot(2, 1), decision: undefined },
        answer: { type: 'promised', ballot: ballot(2, 1), accepted: undefined, dissents: true },
      },
    },
    {
      what: 'promises when it voted no, and says so',
      state: { ...ready, vote: 'no' },
      request: promise,
      step: { state: { decision: undefined }, answer: { type: 'promised', dissents: true } },
    },
    {
      what: 'accepts what a majority was asked about, also without a vote',
      state: { ...ready, vote: 'no', promised: ballot(2, 1) },
      request: accept,
      step: {
        state: { accepted: { ballot: ballot(2, 1), value: 'commit' } },
        answer: { type: 'accepted', dissents: true },
      },
    },
    {
      what: 'never accepts the first ballot without a vote: a majority is to be asked what was accepted',
      state: { ...ready, vote: undefined },
      request: { type: 'accept', ballot: FIRST_BALLOT, value: 'commit' },
      step: {
        state: { vote: 'no', promised: ballot(1, 0), accepted: undefined },
        answer: { type: 'outbid', ballot: FIRST_BALLOT, promised: ballot(1, 0), dissents: true },
      },
    },
    {
      what: 'keeps what it had promised when it refuses the first ballot without a vote',
      state: { ...ready, vote: 'no', promised: ballot(3, 2) },
      request: { type: 'accept', ballot: FIRST_BALLOT, value: 'commit' },
      step: { state: { promised: ballot(3, 2) }, answer: { type: 'outbid', promised: ballot(3, 2) } },
    },
    {
      what: 'makes nothing of a number that nobody has counted to, without a vote either',
      state: { ...ready, vote: undefined },
      request: { type: 'promise', ballot: ballot(MAXIMUM_ROUND_JUMP + 1, 1) },
      step: { type: 'refuse' },
    },
    {
      what: 'takes part when it only read',
      state: { ...ready, vote: 'read-only' },
      request: accept,
      step: { answer: { type: 'accepted' } },
    },
  ])('$what', ({ state, request, step }) => {
    expect(stepAcceptor(state, request)).toMatchObject(step);
  });
});

describe('a proposer', () => {
  it('needs no promises for the first ballot, and a majority of acceptances', () => {
    const proposer = new BallotProposer(FIRST_BALLOT, acceptors, { value: 'commit' });
    expect(proposer.requests().map(({ to, request }) => [to.branchId, request.type])).toEqual([
      ['a', 'accept'],
      ['b', 'accept'],
      ['c', 'accept'],
    ]);
    expect(proposer.onAnswer('a', { type: 'accepted', ballot: FIRST_BALLOT })).toBe(false);
    expect(proposer.onAnswer('a', { type: 'accepted', ballot: FIRST_BALLOT })).toBe(false); // counted once
    expect(proposer.onAnswer('x', { type: 'accepted', ballot: FIRST_BALLOT })).toBe(false); // a stranger
    expect(proposer.onAnswer('b', { type: 'accepted', ballot: ballot(1, 0) })).toBe(false); // another ballot
    expect(proposer.outcome).toEqual({ type: 'open' });
    expect(proposer.onAnswer('b', { type: 'accepted', ballot: FIRST_BALLOT })).toBe(true);
    expect(proposer.outcome).toEqual({ type: 'decided', decision: 'commit' });
  });

  it('proposes the value of the highest ballot that a promise tells of', () => {
    const proposer = new BallotProposer(ballot(4, 1), acceptors);
    const told = (round: number, value: Decision): BallotAnswer => ({
      type: 'promised',
      ballot: ballot(4, 1),
      accepted: { ballot: ballot(round, 0), value },
    });
    proposer.onAnswer('a', told(1, 'abort'));
    proposer.onAnswer('c', told(2, 'commit'));
    expect(proposer.requests()[0]!.request).toEqual({ type: 'accept', ballot: ballot(4, 1), value: 'commit' });
  });

  it('proposes abort when nobody has accepted anything', () => {
    const proposer = new BallotProposer(ballot(1, 3), acceptors);
    for (const from of ['a', 'b'])
      proposer.onAnswer(from, { type: 'promised', ballot: ballot(1, 3), accepted: undefined });
    expect(proposer.requests()[0]!.request).toMatchObject({ type: 'accept', value: 'abort' });
  });

  describe('that meets a branch without a vote', () => {
    const own = ballot(2, 3);
    const told = (accepted?: AcceptedValue): BallotAnswer => ({ type: 'promised', ballot: own, accepted });
    const dissent: BallotAnswer = { type: 'promised', ballot: own, dissents: true };
    const committed = told({ ballot: FIRST_BALLOT, value: 'commit' });
    const carriedOut: BallotAnswer = { type: 'promised', ballot: own, committed: true };
    const valueOf = (proposer: BallotProposer): unknown => {
      const [first] = proposer.requests();
      return first?.request.type === 'accept' ? first.request.value : 'asks for promises';
    };

    it.each<[string, [string, BallotAnswer][], boolean, string, string[]]>([
      [
        'commits what another has accepted',
        [
          ['a', dissent],
          ['b', committed],
        ],
        false,
        'commit',
        ['a'],
      ],
      [
        'also when it hears of the dissent last',
        [
          ['b', committed],
          ['a', dissent],
        ],
        false,
        'commit',
        ['a'],
      ],
      [
        'aborts when a majority has accepted nothing',
        [
          ['a', dissent],
          ['c', told()],
        ],
        false,
        'abort',
        [],
      ],
      [
        'even if nobody of them has a vote',
        [
          ['a', dissent],
          ['c', dissent],
        ],
        false,
        'abort',
        [],
      ],
      ['decides nothing by it alone', [['a', dissent]], false, 'asks for promises', []],
      [
        'knowing that all had voted, goes by the others',
        [
          ['a', dissent],
          ['c', told()],
        ],
        true,
        'asks for promises',
        ['a'],
      ],
      [
        'and has all of them to ask then',
        [
          ['a', dissent],
          ['c', told()],
          ['b', committed],
        ],
        true,
        'commit',
        ['a'],
      ],
      [
        'which abort if they have accepted nothing',
        [
          ['a', dissent],
          ['c', told()],
          ['b', told()],
        ],
        true,
        'abort',
        ['a'],
      ],
      [
        'and ends when all have answered, although most have lost their votes',
        [
          ['a', dissent],
          ['c', dissent],
          ['b', told()],
        ],
        true,
        'abort',
        ['a', 'c'],
      ],
      [
        'by what the last of them that remembers has accepted',
        [
          ['a', dissent],
          ['c', dissent],
          ['b', committed],
        ],
        true,
        'commit',
        ['a', 'c'],
      ],
      [
        'by what the last of them that remembers has carried out: only the others had accepted it',
        [
          ['a', dissent],
          ['b', carriedOut],
          ['c', dissent],
        ],
        true,
        'commit',
        ['a', 'c'],
      ],
      [
        'and not by that where enough remember: somebody may have committed it by hand',
        [
          ['a', dissent],
          ['b', carriedOut],
          ['c', told()],
        ],
        true,
        'abort',
        ['a'],
      ],
    ])('%s', (_what, answers, isEveryVoteKnown, value, amnesiacs) => {
      const proposer = new BallotProposer(own, acceptors, { isEveryVoteKnown });
      for (const [from, answer] of answers) proposer.onAnswer(from, answer);
      expect(valueOf(proposer)).toBe(value);
      expect(proposer.amnesiacs.map(({ branchId }) => branchId)).toEqual(amnesiacs);
    });

    it('hears of amnesia after its own end, too', () => {
      const proposer = new BallotProposer(own, acceptors);
      for (const from of ['b', 'c']) proposer.onAnswer(from, committed);
      for (const from of ['b', 'c']) proposer.onAnswer(from, { type: 'accepted', ballot: own });
      expect(proposer.outcome).toEqual({ type: 'decided', decision: 'commit' });
      proposer.onAnswer('a', dissent);
      expect(proposer.amnesiacs.map(({ branchId }) => branchId)).toEqual(['a']);
    });

    it('counts nobody who abstains, and hears whether that one has a vote', () => {
      const proposer = new BallotProposer(own, acceptors);
      for (const from of ['a', 'c']) proposer.onAnswer(from, { type: 'abstains', ballot: own, dissents: true });
      expect(valueOf(proposer)).toBe('asks for promises');
      proposer.onAnswer('b', committed);
      expect(valueOf(proposer)).toBe('asks for promises');
      expect(proposer.amnesiacs).toHaveLength(2);
    });
  });

  it('adopts a decision, and gives up before a higher ballot', () => {
    const adopting = new BallotProposer(ballot(1, 1), acceptors);
    adopting.onAnswer('c', { type: 'decided', decision: 'commit' });
    expect(adopting.outcome).toEqual({ type: 'decided', decision: 'commit' });
    const outbid = new BallotProposer(ballot(1, 1), acceptors);
    outbid.onAnswer('c', { type: 'outbid', ballot: ballot(1, 1), promised: ballot(2, 2) });
    expect(outbid.outcome).toEqual({ type: 'outbid', by: ballot(2, 2) });
    expect(outbid.requests()).toEqual([]);
  });

  const asked = ballot(5, 0);
  const promisedWith = (accepted: AcceptedValue): BallotAnswer => ({ type: 'promised', ballot: asked, accepted });
  const outbidBy = (promised: Ballot): BallotAnswer => ({ type: 'outbid', ballot: asked, promised });

  it.each<[string, BallotAnswer]>([
    ['outbid by the last round there is', outbidBy(ballot(MAXIMUM_ROUND, 1))],
    ['outbid by a round that nobody has counted to', outbidBy(ballot(asked.round + MAXIMUM_ROUND_JUMP + 1, 1))],
    ['outbid by a stranger', outbidBy(ballot(6, 4))],
    ['accepted in a later ballot', promisedWith({ ballot: ballot(6, 1), value: 'commit' })],
    ['accepted in the ballot that is only promised', promisedWith({ ballot: asked, value: 'commit' })],
    ['accepted from a stranger', promisedWith({ ballot: ballot(1, 4), value: 'commit' })],
    ['an abort accepted in the first ballot', promisedWith({ ballot: FIRST_BALLOT, value: 'abort' })],
  ])('takes no notice of an answer that cannot be: %s', (_name, answer) => {
    const proposer = new BallotProposer(asked, acceptors);
    expect(proposer.onAnswer('a', answer)).toBe(false);
    expect(proposer.requests()).toHaveLength(3);
    expect(proposer.outcome).toEqual({ type: 'open' });
  });

  it('goes above any round that could be counted to', () => {
    const proposer = new BallotProposer(asked, acceptors);
    const reached = ballot(asked.round + MAXIMUM_ROUND_JUMP, 1);
    expect(proposer.onAnswer('a', outbidBy(reached))).toBe(true);
    expect(proposer.outcome).toEqual({ type: 'outbid', by: reached });
  });
});

/** Proposers on a network that loses, doubles and reorders, and come back with higher ballots: Paxos has one outcome. */
function race(seed: number): Decision | undefined {
  const random = new SeededRandom(seed);
  const states = new Map(acceptors.map(({ branchId }) => [branchId, ready]));
  const proposers = [new BallotProposer(FIRST_BALLOT, acceptors, { value: 'commit' })];
  const wires: (() => void)[] = [];
  let round = 0;
  let decision: Decision | undefined;
  const ask = (proposer: BallotProposer): void => {
    for (const { to, request } of proposer.requests())
      wires.push(() => {
        const step = stepAcceptor(states.get(to.branchId)!, request);
        if (step.type !== 'answer') throw new Error('everybody has voted');
        states.set(to.branchId, step.state);
        wires.push(() => {
          if (proposer.onAnswer(to.branchId, step.answer)) ask(proposer);
        });
      });
  };
  ask(proposers[0]!);
  for (let steps = 0; steps < 200; steps++) {
    if (randomChance(random, 0.06)) {
      const proposer = new BallotProposer(ballot(++round, randomInteger(random, 0, 3)), acceptors);
      proposers.push(proposer);
      ask(proposer);
    }
    const place = randomInteger(random, 0, Math.max(0, wires.length - 1));
    const [wire] = randomChance(random, 0.1) ? [wires[place]] : wires.splice(place, 1);
    if (!randomChance(random, 0.15)) wire?.();
    for (const { outcome } of proposers) {
      if (outcome.type !== 'decided') continue;
      if (decision !== undefined && decision !== outcome.decision) throw new Error(`seed ${seed}: two decisions`);
      decision = outcome.decision;
    }
  }
  return decision;
}

describe('many proposers', () => {
  it('never decide two things, and decide often', () => {
    const counts = { commit: 0, abort: 0, none: 0 };
    for (let seed = 1; seed <= 3000; seed++) counts[race(seed) ?? 'none']++;
    expect(counts.commit).toBeGreaterThan(100);
    expect(counts.abort).toBeGreaterThan(100);
  });
});
