import { describe, expect, it } from '@jest/globals';
import { randomChance, randomInteger, SeededRandom } from '@concordat/foundation';
import { LONGEST_JUMP, stepAcceptor, type AcceptorState, type BallotAnswer, type BallotRequest } from './acceptor.js';
import { BallotProposer } from './ballot-proposer.js';
import {
  compareBallots,
  FIRST_BALLOT,
  HIGHEST_ROUND,
  isPossibleBallot,
  majorityOf,
  proposerNumber,
  type AcceptedValue,
  type Acceptor,
  type Ballot,
} from './ballot.js';
import type { Decision } from './types.js';

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
    { made: ballot(HIGHEST_ROUND + 1, 0), possible: false },
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
      what: 'knows the decision when it voted no',
      state: { ...ready, vote: 'no' },
      request: accept,
      step: { state: { decision: 'abort' }, answer: { type: 'decided', decision: 'abort' } },
    },
    {
      what: 'aborts alone when it has not voted',
      state: { ...ready, vote: undefined },
      request: promise,
      step: { type: 'abort-alone' },
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
    const proposer = new BallotProposer(FIRST_BALLOT, acceptors, 'commit');
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
    ['outbid by the last round there is', outbidBy(ballot(HIGHEST_ROUND, 1))],
    ['outbid by a round that nobody has counted to', outbidBy(ballot(asked.round + LONGEST_JUMP + 1, 1))],
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
    const reached = ballot(asked.round + LONGEST_JUMP, 1);
    expect(proposer.onAnswer('a', outbidBy(reached))).toBe(true);
    expect(proposer.outcome).toEqual({ type: 'outbid', by: reached });
  });
});

/** Proposers on a network that loses, doubles and reorders, and come back with higher ballots: Paxos has one outcome. */
function race(seed: number): Decision | undefined {
  const random = new SeededRandom(seed);
  const states = new Map(acceptors.map(({ branchId }) => [branchId, ready]));
  const proposers = [new BallotProposer(FIRST_BALLOT, acceptors, 'commit')];
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
