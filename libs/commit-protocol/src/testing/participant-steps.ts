import type { Acceptor, Ballot, BallotAnswer, BallotRequest } from '../ballots/ballot.js';
import type { OpenedBallot } from '../participant/branch-ballots.js';
import type {
  BallotAnswerMessage,
  BallotRequestMessage,
  BranchAddress,
  ParticipantMessage,
  ThreePhasePrepareMessage,
} from '../vocabulary/messages.js';
import type { ParticipantEffect, ParticipantEvent } from '../participant/participant.types.js';
import type { BranchEnd, Decision, Vote } from '../vocabulary/types.js';

export const TRANSACTION = '01890000-0000-7000-8000-000000000001';
export const PARTICIPANT = 'bank-a';
export const idOf = (branch: number): string => `01890000-0000-7000-8000-${String(branch).padStart(12, '0')}`;
export const acceptorsOf = (count: number): Acceptor[] => {
  return Array.from({ length: count }, (_, i) => ({
    branchId: idOf(i + 1),
    participant: i === 0 ? PARTICIPANT : `bank-${i}`,
  }));
};
/** The machine of these tests is that of the first. */
export const ACCEPTORS = acceptorsOf(3);
export const SELF: BranchAddress = { transactionId: TRANSACTION, ...ACCEPTORS[0]! };
export const by = (round: number, proposer: number): Ballot => ({ round, proposer });
export const promise = (ballot: Ballot): BallotRequest => ({ type: 'promise', ballot });
export const accept = (ballot: Ballot, value: Decision): BallotRequest => ({ type: 'accept', ballot, value });

export const message = (of: ParticipantMessage): ParticipantEvent => ({ type: 'message', message: of });
export const prepare = (change: Partial<ThreePhasePrepareMessage> = {}): ParticipantEvent =>
  message({
    ...SELF,
    type: 'prepare',
    protocol: '3pc',
    operations: [],
    deadline: 0,
    attempt: 0,
    epoch: { term: 1, index: 1 },
    acceptors: ACCEPTORS,
    ...change,
  });
export const decide = (decision: Decision): ParticipantEvent =>
  message({ ...SELF, type: 'decision', decision, attempt: 0 });
export const rule = (ruling: Decision): ParticipantEvent => message({ ...SELF, type: 'ruling', ruling, attempt: 0 });
export const due = message({ ...SELF, type: 'termination-due' });
export const undecided = message({ ...SELF, type: 'undecided' });
export const voted = (vote: Vote): ParticipantEvent => ({ type: 'voted', branch: SELF, result: { vote, results: [] } });
export const ended = (end: BranchEnd): ParticipantEvent => ({ type: 'ended', branch: SELF, end });
export const unknown: ParticipantEvent = { type: 'unknown', branch: SELF };

/** From the coordinators, or from the branch with this number. */
export function request(of: BallotRequest, from = 0, change: Partial<BallotRequestMessage> = {}): BallotRequestMessage {
  const proposer = from === 0 ? undefined : (change.acceptors ?? ACCEPTORS)[from - 1]!;
  return {
    ...SELF,
    type: 'ballot-request',
    request: of,
    acceptors: ACCEPTORS,
    ...(proposer && { proposer }),
    ...change,
  };
}
export const asked = (...of: Parameters<typeof request>): ParticipantEvent => message(request(...of));
/** The database has answered a request. */
export const answered = (of: BallotRequestMessage, answer: BallotAnswer): ParticipantEvent => {
  return { type: 'ballot-answered', branch: SELF, request: of, answer };
};
/** The branch with this number answers a ballot of the machine's own branch. */
export function answer(from: number, of: BallotAnswer, change: Partial<BallotAnswerMessage> = {}): ParticipantEvent {
  const [self] = ACCEPTORS;
  return message({
    transactionId: TRANSACTION,
    ...ACCEPTORS[from - 1]!,
    type: 'ballot-answer',
    answer: of,
    proposer: self!,
    ...change,
  });
}
export const opened = (ballot: Ballot, accepted?: { ballot: Ballot; value: Decision }): ParticipantEvent => {
  return { type: 'ballot-opened', branch: SELF, opened: { type: 'opened', ballot, accepted, acceptors: ACCEPTORS } };
};
export const notOpened = (outcome: Exclude<OpenedBallot, { type: 'opened' }>): ParticipantEvent => {
  return { type: 'ballot-opened', branch: SELF, opened: outcome };
};

export const numberOf = (branchId: string): number => Number(branchId.slice(-12));
const ballotText = ({ round, proposer }: Ballot): string => `${round}.${proposer}`;
const requestText = (of: BallotRequest): string =>
  `${of.type} ${ballotText(of.ballot)}${of.type === 'accept' ? ` ${of.value}` : ''}`;

export function short(effect: ParticipantEffect): string {
  switch (effect.type) {
    case 'reply':
      return effect.message.type === 'vote' ? `vote ${effect.message.vote}` : `done ${effect.message.end}`;
    case 'run-ballot':
      return `run-ballot ${requestText(effect.request.request)}`;
    case 'send':
      return sendText(effect.message);
    case 'alert':
      return `alert ${effect.code}`;
    default:
      return effect.type;
  }
}

function sendText(sent: Extract<ParticipantEffect, { type: 'send' }>['message']): string {
  switch (sent.type) {
    case 'ballot-request':
      return `to ${numberOf(sent.branchId)}: ${requestText(sent.request)}`;
    case 'ballot-answer':
      return `to ${sent.proposer ? numberOf(sent.proposer.branchId) : 'coordinators'}: ${sent.answer.type}`;
    case 'decision':
      return `to ${numberOf(sent.branchId)}: ${sent.decision}`;
    case 'branches-decided':
      return `to coordinators: branches decided ${sent.decision}${forgotText(sent.amnesiacs)}`;
  }
}

function forgotText(amnesiacs: readonly string[] | undefined): string {
  return amnesiacs ? `, ${amnesiacs.map(numberOf).join(' ')} forgot` : '';
}

/** An event, and the effects it must have, in short. */
export type Step = readonly [ParticipantEvent, readonly string[]];
