import { randomChance, randomInteger, randomItem, type Random } from '@concordat/foundation';
import {
  formatGid,
  type Acceptor,
  type BallotAnswer,
  type BranchAddress,
  type ProtocolMessage,
} from '@concordat/commit-protocol';
import { FUZZ_CLUSTER } from '../shots.js';
import {
  someDecision,
  strangeAcceptors,
  strangeBallot,
  strangeCount,
  strangeError,
  strangeId,
  strangeName,
} from '../strange.js';
import { PARTICIPANT, prepareOf, TERM, type Actor, type Work } from './cast.js';

/** Far above every term that there has been, and all below it. */
const TERMS = [0, 1, TERM - 1, TERM, 2 ** 40, Number.MAX_SAFE_INTEGER];

/** Anything that can be sent to a participant, for branches that are none, or other ones than it says. */
export function strangeOrder(random: Random, address: BranchAddress, acceptors: readonly Acceptor[]): ProtocolMessage {
  const self = { branchId: address.branchId, participant: address.participant };
  const set = randomChance(random, 0.5) ? [...acceptors.slice(1), self] : strangeAcceptors(random, acceptors);
  const proposer = randomChance(random, 0.6) && { proposer: randomItem(random, [...set, stranger(random)]) };
  const attempt = strangeCount(random);
  const ballot = strangeBallot(random);
  const operations = [{ operation: randomItem<Work>(random, ['write', 'read', 'refuse']), payload: {}, keys: [] }];
  return randomItem<() => ProtocolMessage>(random, [
    () => ({
      type: 'prepare',
      ...address,
      operations: randomChance(random, 0.2) ? [] : operations,
      deadline: strangeCount(random),
      attempt,
      epoch: { term: randomItem(random, TERMS), index: strangeCount(random) },
      ...randomItem(random, [
        { protocol: '2pc' },
        { protocol: '3pc', acceptors: set },
        { protocol: '3pc', acceptors: set, enlistedVote: randomItem(random, ['yes', 'read-only']) },
      ]),
    }),
    () => ({ type: 'commit-one-phase', ...address, operations, deadline: strangeCount(random), attempt }),
    () => ({ type: 'decision', ...address, decision: someDecision(random), attempt }),
    () => ({ type: 'ruling', ...address, ruling: someDecision(random), attempt }),
    () => ({ type: 'unknown-old', ...address }),
    () => ({ type: 'undecided', ...address }),
    () => ({ type: 'termination-due', ...address }),
    () => ({ type: 'ballot-request', ...address, request: { type: 'promise', ballot }, acceptors: set, ...proposer }),
    () => ({
      type: 'ballot-request',
      ...address,
      request: { type: 'accept', ballot, value: someDecision(random) },
      acceptors: set,
      ...proposer,
    }),
    () => ({ type: 'ballot-answer', ...address, answer: strangeAnswer(random), ...proposer }),
  ])();
}

/**
 * What may be said to a real branch without deciding its transaction: what is sent again, what comes from where nobody
 * of its transaction is, ballots that are none, and the word that a coordinator or nobody is there.
 */
export function idleOrder(random: Random, actor: Actor): ProtocolMessage {
  const { part, address, acceptors } = actor;
  const { transactionId, branchId } = address;
  const own = { proposer: { branchId, participant: PARTICIPANT } };
  const outside = { branchId: strangeId(random), participant: strangeName(random) };
  const value = someDecision(random);
  const [, other = outside] = acceptors;
  return randomItem<() => ProtocolMessage>(random, [
    () => ({ type: 'undecided', ...address }),
    () => ({ type: 'unknown-old', ...address }),
    () => ({ type: 'termination-due', ...address }),
    () => prepareOf(actor, randomItem(random, [0, 1, TERM - 1, Number.MAX_SAFE_INTEGER]), strangeCount(random)),
    // a set that is not its own, or a round that is out of reach
    () => ({
      type: 'ballot-request',
      ...address,
      request: { type: 'accept', ballot: strangeBallot(random), value },
      acceptors: strangeAcceptors(random, acceptors),
      proposer: randomItem(random, [other, outside]),
    }),
    () => ({
      type: 'ballot-request',
      ...address,
      request: { type: 'accept', ballot: { round: 2 ** 31 - 1, proposer: 0 }, value },
      acceptors,
    }),
    // under a number that is another's
    () => ({
      type: 'ballot-request',
      ...address,
      request: { type: 'accept', ballot: { round: 3, proposer: 3 }, value },
      acceptors,
      ...randomItem(random, [{}, { proposer: acceptors[0]! }, { proposer: outside }]),
    }),
    // from a branch of another transaction, from itself, and to a ballot that was not opened
    () => ({ type: 'ballot-answer', transactionId, ...outside, answer: strangeAnswer(random), ...own }),
    () => ({ type: 'ballot-answer', ...address, answer: strangeAnswer(random), ...own }),
    () => ({
      type: 'ballot-answer',
      ...address,
      answer: { type: 'accepted', ballot: { round: 1, proposer: 1 } },
      ...own,
    }),
    () => ({
      type: 'ballot-answer',
      transactionId,
      ...other,
      answer: { type: 'accepted', ballot: { round: randomInteger(random, 500, 900), proposer: 1 } },
      ...own,
    }),
    // what a participant says, not what it is told
    () => ({ type: 'vote', ...address, vote: 'yes', results: [], error: strangeError(random) }),
    () => ({ type: 'done', ...address, end: part.decision === 'commit' ? 'aborted' : 'committed' }),
    () => ({ type: 'branches-decided', ...address, decision: value }),
    () => ({ type: 'inquiry', ...address, gid: formatGid(FUZZ_CLUSTER, transactionId, address.branchId) }),
    () => ({ type: 'outcome', transactionId, outcome: 'mixed', decidedAt: 0, endedAt: 0, participants: [] }),
  ])();
}

function strangeAnswer(random: Random): BallotAnswer {
  const ballot = randomChance(random, 0.3) ? { round: 1, proposer: 1 } : strangeBallot(random);
  const dissent = randomChance(random, 0.3) ? ({ dissents: true } as const) : {};
  switch (randomInteger(random, 0, 4)) {
    case 0:
      return { type: 'promised', ballot, accepted: { ballot: strangeBallot(random), value: someDecision(random) } };
    case 1:
      return { type: 'accepted', ballot, ...dissent };
    case 2:
      return { type: 'outbid', ballot, promised: strangeBallot(random), ...dissent };
    case 3:
      return { type: 'abstains', ballot, ...dissent };
    default:
      return { type: 'decided', decision: someDecision(random) };
  }
}

function stranger(random: Random): Acceptor {
  return { branchId: strangeId(random), participant: strangeName(random) };
}
