import {
  CoordinatorTransaction,
  DecisionState,
  type ApplyResult,
  type BallotAnswer,
  type BallotAnswerMessage,
  type BallotRequest,
  type CoordinatorEffect,
  type CoordinatorEvent,
  type LogRecord,
  type OpenedBallot,
  type TransactionState,
  type Vote,
} from '@concordat/commit-protocol';
import { PlainEndedTransactions } from '@concordat/commit-protocol/testing';
import { AcceptorDatabase } from '../commit/acceptor-database.js';
import type { DatabaseAnswer } from '../commit/branch-database.js';
import { BranchProcess, type BranchOutput } from '../commit/branch-process.js';
import { LogReplica } from '../commit/coordinator-node.js';
import type { Parts } from '../commit/options.js';
import type { Mistake } from '../mistake.js';

type AcceptorState = NonNullable<AcceptorDatabase['acceptor']>;

const withTransaction = (Mistaken: typeof CoordinatorTransaction): Partial<Parts> => ({
  createTransaction: (state, epoch, recovered) => new Mistaken(state, epoch, recovered),
});

const withAcceptor = (Mistaken: typeof AcceptorDatabase): Partial<Parts> => ({
  createDatabase: (place, acceptors) => new Mistaken(place, acceptors),
});

const withProcess = (Mistaken: typeof BranchProcess): Partial<Parts> => ({
  createProcess: (address) => new Mistaken(address),
});

const withLog = (Mistaken: typeof LogReplica): Partial<Parts> => ({
  createLog: () => new Mistaken(new DecisionState(new PlainEndedTransactions())),
});

class PromiseForgotten extends AcceptorDatabase {
  protected override keep(state: AcceptorState, answer: BallotAnswer): void {
    if (answer.type !== 'promised') super.keep(state, answer);
  }
}

class AcceptanceForgotten extends AcceptorDatabase {
  protected override keep(state: AcceptorState, answer: BallotAnswer): void {
    super.keep(answer.type === 'accepted' ? { ...state, accepted: undefined } : state, answer);
  }
}

class OwnPromiseForgotten extends AcceptorDatabase {
  protected override openBallot(): OpenedBallot {
    const { row } = this;
    const opened = super.openBallot();
    this.row = row;
    return opened;
  }
}

/** A read-only vote leaves nothing behind, as in two phases. */
class ReadOnlyNotOnRecord extends AcceptorDatabase {
  protected override afterWork(vote: Vote): DatabaseAnswer {
    return vote === 'read-only' ? { type: 'voted', vote } : super.afterWork(vote);
  }
}

class LowerBallotsAnswered extends AcceptorDatabase {
  protected override stepRow(state: AcceptorState, request: BallotRequest): ReturnType<AcceptorDatabase['stepRow']> {
    return super.stepRow({ ...state, promised: undefined }, request);
  }
}

class AcceptedValueConcealed extends AcceptorDatabase {
  protected override stepRow(state: AcceptorState, request: BallotRequest): ReturnType<AcceptorDatabase['stepRow']> {
    const step = super.stepRow(state, request);
    if (step.type !== 'answer' || step.answer.type !== 'promised') return step;
    return { ...step, answer: { type: 'promised', ballot: step.answer.ballot } };
  }

  protected override openBallot(): OpenedBallot {
    const opened = super.openBallot();
    return opened.type === 'opened' ? { ...opened, accepted: undefined } : opened;
  }
}

/** It answers as if it had voted, and may still vote. */
class AnswersWithoutVote extends AcceptorDatabase {
  protected override answerWithoutVote({ type, ballot }: BallotRequest): DatabaseAnswer {
    const answer: BallotAnswer = { type: type === 'promise' ? 'promised' : 'accepted', ballot };
    return { type: 'ballot-answered', answer };
  }
}

/** As it was once: that it has not voted is a decision, which outweighs what others have accepted. */
class NeverVotedDecides extends AcceptorDatabase {
  protected override answerWithoutVote(): DatabaseAnswer {
    this.row = { vote: 'no', promised: undefined, accepted: undefined, decision: undefined };
    const answer = { type: 'ballot-answered', answer: { type: 'decided', decision: 'abort' } } as const;
    return { type: 'continues', with: { type: 'abort-alone', answer } };
  }
}

/** It has lost its last writes, knows it, and takes part in ballots all the same. */
class GoesOnAfterLoss extends AcceptorDatabase {
  protected override abstain(): undefined {
    return undefined;
  }
}

class VotesBeforeRecord extends BranchProcess {
  override answered(answer: DatabaseAnswer): BranchOutput {
    const output = super.answered(answer);
    if (answer.type !== 'continues' || answer.with.type !== 'record-vote') return output;
    const vote = { ...this.address, type: 'vote', vote: answer.with.vote, results: [] } as const;
    return { ...output, sent: [...output.sent, vote] };
  }
}

/** As in the protocol of 1982: a branch that has accepted the commit commits, and one that has not aborts. */
class DecidesByTimeout extends BranchProcess {
  private hasAccepted = false;

  override answered(answer: DatabaseAnswer): BranchOutput {
    if (answer.type === 'ballot-answered' && answer.answer.type === 'accepted') this.hasAccepted = true;
    return super.answered(answer);
  }

  override terminationDue(): BranchOutput {
    const decision = this.hasAccepted ? 'commit' : 'abort';
    return this.receive({ ...this.address, type: 'decision', decision, attempt: 0 });
  }
}

/** The leader counts each acceptance for two, so that half of the branches seem to be a majority. */
class HalfIsMajority extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    const effects = super.handle(event, now);
    if (event.type !== 'ballot-answer' || event.message.answer.type === 'decided') return effects;
    return [...effects, ...super.handle({ type: 'ballot-answer', message: this.inAnotherName(event.message) }, now)];
  }

  private inAnotherName(message: BallotAnswerMessage): BallotAnswerMessage {
    const { branches } = this.transaction;
    const place = branches.findIndex(({ branchId }) => branchId === message.branchId);
    const { branchId, participant } = branches[(place + 1) % branches.length] ?? message;
    return { ...message, branchId, participant };
  }
}

/** It asks for acceptances as soon as it has all votes, while their record is on its way into the log. */
class AsksBeforeLog extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    return super.handle(event, now).flatMap((effect): CoordinatorEffect[] => {
      if (effect.type !== 'append' || effect.record.type !== 'pre-commit' || effect.record.ballot.round > 0) {
        return [effect];
      }
      return [
        effect,
        ...requestsFor(this.transaction, { type: 'accept', ballot: effect.record.ballot, value: 'commit' }),
      ];
    });
  }
}

/** It goes on with the ballot of the leader before, which it finds in the log. */
class BallotOfPredecessor extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    const { preCommit } = this.transaction;
    if (event.type !== 'admitted' || !preCommit) return super.handle(event, now);
    const request = preCommit.round === 0 ? 'accept' : 'promise';
    return requestsFor(
      this.transaction,
      request === 'accept'
        ? { type: 'accept', ballot: preCommit, value: 'commit' }
        : { type: 'promise', ballot: preCommit },
    );
  }
}

/** At the deadline it aborts, even with a ballot in the log, whatever the branches have accepted. */
class AbortsUnderBallot extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, at: number): CoordinatorEffect[] {
    const { transactionId, preCommit, decision } = this.transaction;
    if (event.type !== 'deadline' || !preCommit || decision) return super.handle(event, at);
    return [{ type: 'append', record: { type: 'decide', transactionId, decision: 'abort', reports: [], at } }];
  }
}

/** As in two phases: all have voted, so it is decided. */
class CommitsWithoutBallot extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, at: number): CoordinatorEffect[] {
    return super.handle(event, at).map((effect): CoordinatorEffect => {
      if (effect.type !== 'append' || effect.record.type !== 'pre-commit') return effect;
      const { transactionId, reports } = effect.record;
      return { type: 'append', record: { type: 'decide', transactionId, decision: 'commit', reports, at } };
    });
  }
}

/** A log that takes every decision, as if the transaction were in two phases. */
class BallotsNotChecked extends LogReplica {
  override append(record: LogRecord): ApplyResult {
    if (record.type !== 'decide') return super.append(record);
    const transaction = this.state.find(record.transactionId);
    if (transaction) Reflect.deleteProperty(transaction, 'preCommit');
    if (transaction) Reflect.set(transaction, 'protocol', '2pc');
    const result = super.append(record);
    if (transaction) Reflect.set(transaction, 'protocol', '3pc');
    return result;
  }
}

function requestsFor({ transactionId, branches }: TransactionState, request: BallotRequest): CoordinatorEffect[] {
  const acceptors = branches.map(({ branchId, participant }) => ({ branchId, participant }));
  return acceptors.map(({ branchId, participant }) => ({
    type: 'send',
    message: { type: 'ballot-request', transactionId, branchId, participant, request, acceptors },
  }));
}

const VOTED = { start: 'voted', inclinations: ['yes', 'yes', 'yes'] } as const satisfies Mistake['world'];
const VOTED_AT_ONCE = { ...VOTED, instantBranches: true, donesLost: true } as const satisfies Mistake['world'];

/** Mistakes that people make with ballots, each of which breaks one of the rules in a world of its own. */
export const THREE_PHASE_MISTAKES: readonly Mistake[] = [
  {
    name: 'a promise is not on record before it is given',
    parts: withAcceptor(PromiseForgotten),
    branches: 2,
    bounds: { terminations: 1 },
    world: VOTED,
    breaks: ['section 6'],
    consequence: { branches: 3, bounds: { terminations: 1 }, world: VOTED_AT_ONCE, breaks: ['ballot', 'AC1'] },
  },
  {
    name: 'an acceptance is not on record before it is given',
    parts: withAcceptor(AcceptanceForgotten),
    branches: 2,
    bounds: {},
    world: VOTED,
    breaks: ['section 6'],
    consequence: { bounds: { terminations: 1 }, world: VOTED_AT_ONCE, breaks: ['ballot', 'AC1'] },
  },
  {
    name: 'a branch opens a ballot that it has not promised to itself on record',
    parts: withAcceptor(OwnPromiseForgotten),
    branches: 2,
    bounds: { terminations: 1 },
    world: VOTED,
    breaks: ['section 6'],
  },
  {
    name: 'half of the branches is taken for a majority',
    parts: withTransaction(HalfIsMajority),
    branches: 3,
    bounds: { terminations: 1 },
    world: VOTED_AT_ONCE,
    breaks: ['ballot', 'AC1'],
  },
  {
    name: 'a read-only vote is not on record',
    parts: withAcceptor(ReadOnlyNotOnRecord),
    branches: 2,
    bounds: {},
    breaks: ['section 6'],
    consequence: {
      branches: 3,
      bounds: { terminations: 1 },
      world: { ...VOTED_AT_ONCE, inclinations: ['yes', 'yes', 'read-only'] },
      breaks: ['alert', 'AC4', 'ballot', 'AC1'],
    },
  },
  {
    name: 'a new leader goes on with the ballot of its predecessor',
    parts: withTransaction(BallotOfPredecessor),
    branches: 2,
    bounds: { leaderDeaths: 1 },
    world: VOTED,
    breaks: ['section 6'],
  },
  {
    name: 'a transaction under a ballot is aborted at its deadline, and the log takes it',
    parts: { ...withTransaction(AbortsUnderBallot), ...withLog(BallotsNotChecked) },
    branches: 2,
    bounds: { terminations: 1, deadlines: 1 },
    world: VOTED_AT_ONCE,
    breaks: ['ballot', 'AC1'],
  },
  {
    name: 'a transaction under a ballot is aborted at its deadline',
    parts: withTransaction(AbortsUnderBallot),
    branches: 2,
    bounds: { deadlines: 1 },
    world: VOTED,
    breaks: ['section 2'],
  },
  {
    name: 'a commit is decided without a ballot, and the log takes it',
    parts: { ...withTransaction(CommitsWithoutBallot), ...withLog(BallotsNotChecked) },
    branches: 2,
    bounds: { terminations: 1 },
    world: VOTED_AT_ONCE,
    breaks: ['ballot', 'AC1'],
  },
  {
    name: 'a branch decides when it has waited long enough',
    parts: withProcess(DecidesByTimeout),
    branches: 2,
    bounds: { terminations: 1 },
    world: VOTED,
    breaks: ['ballot', 'AC1'],
  },
  {
    name: 'an acceptor answers a ballot that is lower than what it has promised',
    parts: withAcceptor(LowerBallotsAnswered),
    branches: 2,
    bounds: { terminations: 1 },
    world: VOTED_AT_ONCE,
    breaks: ['section 6'],
    consequence: { bounds: { terminations: 1 }, world: VOTED_AT_ONCE, breaks: ['ballot', 'AC1'] },
  },
  {
    name: 'what was accepted in a lower ballot is not heeded',
    parts: withAcceptor(AcceptedValueConcealed),
    branches: 2,
    bounds: { terminations: 1 },
    world: VOTED_AT_ONCE,
    breaks: ['ballot', 'AC1'],
  },
  {
    name: 'a branch that has not voted answers a ballot, and may still vote',
    parts: withAcceptor(AnswersWithoutVote),
    branches: 2,
    bounds: { terminations: 1 },
    breaks: ['section 6'],
  },
  {
    name: 'that a branch has never voted decides, against what others have accepted',
    parts: withAcceptor(NeverVotedDecides),
    branches: 3,
    bounds: { amnesias: 1, terminations: 1, deadlines: 0 },
    world: { ...VOTED_AT_ONCE, start: 'orphaned' },
    breaks: ['ballot', 'AC1'],
  },
  {
    name: 'an acceptor that has lost its last writes goes on as one',
    parts: withAcceptor(GoesOnAfterLoss),
    branches: 3,
    bounds: { amnesias: 1, terminations: 1, deadlines: 0 },
    world: VOTED_AT_ONCE,
    breaks: ['ballot', 'AC1'],
  },
  {
    name: 'a vote leaves before it is on record',
    parts: withProcess(VotesBeforeRecord),
    branches: 2,
    bounds: {},
    breaks: ['section 6'],
    consequence: { bounds: { participantCrashes: 1 }, breaks: ['section 3', 'AC1', 'AC5'] },
  },
  {
    name: 'branches are asked to accept before the ballot is in the log',
    parts: withTransaction(AsksBeforeLog),
    branches: 2,
    bounds: {},
    breaks: ['section 3'],
    consequence: {
      bounds: { leaderDeaths: 1, terminations: 1, deadlines: 1 },
      breaks: ['ballot', 'AC1', 'AC5'],
    },
  },
];
