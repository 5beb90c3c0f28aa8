import { randomChance, randomInteger, randomItem, type Random } from '@concordat/foundation';
import {
  formatGid,
  type Ballot,
  type BallotAnswer,
  type BranchAddress,
  type BranchEnd,
  type ProtocolMessage,
  type ReplyMessage,
  type Vote,
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
  strangeResults,
} from '../strange.js';

const VOTES: readonly Vote[] = ['yes', 'no', 'read-only'];
const ENDS: readonly BranchEnd[] = ['committed', 'aborted', 'read-only', 'heuristic-rollback', 'heuristic-commit'];
const ADDRESSED = [
  'vote',
  'vote',
  'done',
  'done',
  'ballot-answer',
  'ballot-answer',
  'branches-decided',
  'inquiry',
] as const;

/** Anything that a branch can say, whoever says it. @param open a ballot that is likely to be open */
export function someReply(random: Random, address: BranchAddress, open: Ballot | undefined): ReplyMessage {
  const type = randomItem(random, ADDRESSED);
  switch (type) {
    case 'vote': {
      const error = randomChance(random, 0.3) && { error: strangeError(random) };
      return { type, ...address, vote: randomItem(random, VOTES), results: strangeResults(random), ...error };
    }
    case 'done': {
      const results = randomChance(random, 0.3) && { results: strangeResults(random) };
      const error = randomChance(random, 0.2) && { error: strangeError(random) };
      return { type, ...address, end: randomItem(random, ENDS), ...results, ...error };
    }
    case 'ballot-answer': {
      const proposer = randomChance(random, 0.2) && {
        proposer: { branchId: strangeId(random), participant: strangeName(random) },
      };
      return { type, ...address, answer: someAnswer(random, open), ...proposer };
    }
    case 'branches-decided':
      return { type, ...address, decision: someDecision(random) };
    case 'inquiry':
      return { type, ...address, gid: formatGid(FUZZ_CLUSTER, address.transactionId, address.branchId) };
  }
}

/** What anybody can announce: names that are there already, and names that nobody has. */
export function someAnnouncement(random: Random, names: readonly string[]): ReplyMessage {
  const participant = randomChance(random, 0.2) ? randomItem(random, names) : strangeName(random);
  const operations = Array.from({ length: randomInteger(random, 0, 4) }, () =>
    randomItem(random, ['debit', 'credit', '__proto__', '!', 'x'.repeat(128)]),
  );
  return { type: 'announce', participant, operations };
}

/** What belongs into other topics. */
export function misplacedMessage(random: Random, address: BranchAddress): ProtocolMessage {
  const attempt = strangeCount(random);
  const acceptors = strangeAcceptors(random, [address]).map(({ branchId, participant }) => ({ branchId, participant }));
  const { transactionId, participant } = address;
  return randomItem<ProtocolMessage>(random, [
    { type: 'decision', ...address, decision: someDecision(random), attempt },
    { type: 'ruling', ...address, ruling: someDecision(random), attempt },
    { type: 'commit-one-phase', ...address, operations: [], deadline: strangeCount(random), attempt },
    {
      type: 'prepare',
      ...address,
      protocol: '3pc',
      operations: [],
      deadline: strangeCount(random),
      attempt,
      epoch: { term: strangeCount(random), index: strangeCount(random) },
      acceptors,
    },
    { type: 'unknown-old', ...address },
    { type: 'undecided', ...address },
    { type: 'termination-due', ...address },
    { type: 'ballot-request', ...address, request: { type: 'promise', ballot: strangeBallot(random) }, acceptors },
    { type: 'outcome', transactionId, outcome: 'committed', decidedAt: 0, endedAt: 0, participants: [participant] },
  ]);
}

function someAnswer(random: Random, open: Ballot | undefined): BallotAnswer {
  const ballot = open && randomChance(random, 0.6) ? open : strangeBallot(random);
  const dissent = randomChance(random, 0.3) ? ({ dissents: true } as const) : {};
  switch (randomInteger(random, 0, 4)) {
    case 0: {
      const accepted = randomChance(random, 0.5) && {
        accepted: { ballot: strangeBallot(random), value: someDecision(random) },
      };
      return { type: 'promised', ballot, ...accepted, ...dissent };
    }
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
