import {
  CoordinatorTransaction,
  DecisionState,
  type ApplyResult,
  type BranchEnd,
  type CoordinatorEffect,
  type CoordinatorEvent,
  type Decision,
  type LogRecord,
  type ParticipantMessage,
  type Vote,
} from '@concordat/commit-protocol';
import { PlainEndedTransactions } from '@concordat/commit-protocol/testing';
import { BranchDatabase, type DatabaseAnswer } from '../commit/branch-database.js';
import { BranchProcess, type BranchOutput } from '../commit/branch-process.js';
import { CoordinatorNode, LogReplica, type BranchReply, type NodeOutput } from '../commit/coordinator-node.js';
import type { Parts } from '../commit/options.js';
import type { Mistake } from '../mistake.js';

type Transaction = typeof CoordinatorTransaction;

const withTransaction = (Mistaken: Transaction): Partial<Parts> => ({
  createTransaction: (state, epoch, recovered) => new Mistaken(state, epoch, recovered),
});

const withDatabase = (Mistaken: typeof BranchDatabase): Partial<Parts> => ({ createDatabase: () => new Mistaken() });

const withProcess = (Mistaken: typeof BranchProcess): Partial<Parts> => ({
  createProcess: (address) => new Mistaken(address),
});

const withNode = (Mistaken: typeof CoordinatorNode): Partial<Parts> => ({
  createNode: (log, term, transactionId, parts) => new Mistaken(log, term, transactionId, parts.createTransaction),
});

function tellAll({ transaction }: CoordinatorTransaction, decision: Decision): CoordinatorEffect[] {
  const { transactionId, branches } = transaction;
  return branches.map(({ branchId, participant }) => ({
    type: 'send',
    message: { type: 'decision', transactionId, branchId, participant, decision, attempt: 0 },
  }));
}

/** A commit that claims a `yes` of everybody. */
function commitForAll({ transaction }: CoordinatorTransaction, at: number): CoordinatorEffect {
  const { transactionId, branches } = transaction;
  const reports = branches.map(({ branchId }) => ({ branchId, vote: 'yes' as const }));
  return { type: 'append', record: { type: 'decide', transactionId, decision: 'commit', reports, at } };
}

class DecisionBeforeLog extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    return super
      .handle(event, now)
      .flatMap((effect) =>
        effect.type === 'append' && effect.record.type === 'decide'
          ? [effect, ...tellAll(this, effect.record.decision)]
          : [effect],
      );
  }
}

/** Classical presumed abort: what was decided to abort is told, and the log never hears of it. */
class UnloggedAbort extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    return super
      .handle(event, now)
      .flatMap((effect) =>
        effect.type === 'append' && effect.record.type === 'decide' && effect.record.decision === 'abort'
          ? tellAll(this, 'abort')
          : [effect],
      );
  }
}

class VotesCountedByNumber extends CoordinatorTransaction {
  private approvals = 0;

  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    const effects = super.handle(event, now);
    if (event.type !== 'vote' || event.message.vote === 'no' || this.transaction.decision) return effects;
    this.approvals++;
    return this.approvals === this.transaction.branches.length ? [...effects, commitForAll(this, now)] : effects;
  }
}

class CommitAtDeadline extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    const refused = this.transaction.branches.some(({ branchId }) => this.reportOf(branchId)?.vote === 'no');
    if (event.type !== 'deadline' || refused || this.transaction.decision) return super.handle(event, now);
    return [commitForAll(this, now)];
  }
}

class LateVotesIgnored extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    return event.type === 'vote' && this.transaction.decision ? [] : super.handle(event, now);
  }
}

class NothingSentAgain extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    return event.type === 'resend' ? [] : super.handle(event, now);
  }
}

class DoneWhenTold extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, now: number): CoordinatorEffect[] {
    const effects = super.handle(event, now);
    const { transactionId, decision } = this.transaction;
    if (event.type !== 'applied' || !decision) return effects;
    const end = decision === 'commit' ? 'committed' : 'aborted';
    return effects.flatMap((effect): CoordinatorEffect[] =>
      effect.type === 'send'
        ? [effect, { type: 'branch-done', done: { transactionId, branchId: effect.message.branchId, end } }]
        : [effect],
    );
  }
}

/** At the deadline it proposes to abort, even if its commit is on its way into the log. */
class ProposesBoth extends CoordinatorTransaction {
  override handle(event: CoordinatorEvent, at: number): CoordinatorEffect[] {
    if (event.type !== 'deadline' || this.transaction.decision) return super.handle(event, at);
    const { transactionId } = this.transaction;
    const record = { type: 'decide', transactionId, decision: 'abort', reports: [], at } as const;
    return [{ type: 'append', record }];
  }
}

class LastDecisionWins extends LogReplica {
  override append(record: LogRecord): ApplyResult {
    const transaction = record.type === 'decide' ? this.state.find(record.transactionId) : undefined;
    if (transaction) delete transaction.decision;
    return super.append(record);
  }
}

/** It answers before its no-op is applied, from a log that lacks what its predecessor had just committed. */
class AnswersBeforeNoOp extends CoordinatorNode {
  override receive(message: BranchReply, leads: boolean, now: number): NodeOutput {
    if (message.type !== 'inquiry' || this.term === 1 || this.transaction?.decision) {
      return super.receive(message, leads, now);
    }
    const { transactionId, branchId, participant } = message;
    const answer = { type: 'decision', transactionId, branchId, participant, decision: 'abort', attempt: 0 } as const;
    return { sent: [answer], alerts: [] };
  }
}

/** A proposal of unknown fate is reported as one that failed. */
class OppositeOfUnknown extends CoordinatorNode {
  override proposalFailed(now: number): NodeOutput {
    return { ...super.proposalFailed(now), told: 'abort' };
  }
}

/** What the one before had not decided is aborted, by word of mouth. */
class AbortsWhatItFinds extends CoordinatorNode {
  override recover(now: number): NodeOutput {
    const output = super.recover(now);
    if (!this.machine || this.machine.transaction.decision) return output;
    const told = tellAll(this.machine, 'abort').flatMap((effect) => (effect.type === 'send' ? [effect.message] : []));
    return { ...output, sent: [...output.sent, ...told] };
  }
}

class BarrierSkipped extends CoordinatorNode {
  override receive(message: BranchReply, _leads: boolean, now: number): NodeOutput {
    return super.receive(message, true, now);
  }
}

class NoTombstone extends BranchDatabase {
  protected override writeTombstone(): void {
    // the mistake is that nothing is written
  }
}

class OnePhaseRepeated extends BranchDatabase {
  protected override commitOnePhase(inclination: Vote): BranchEnd {
    if (inclination !== 'yes' || this.ledger !== 'committed') return super.commitOnePhase(inclination);
    this.takeEffect();
    return 'committed';
  }
}

/** PostgreSQL's 42704 for COMMIT PREPARED is taken as success. */
class MissingMeansCommitted extends BranchDatabase {
  protected override commit(): BranchEnd {
    super.commit();
    return 'committed';
  }
}

class VotesBeforePrepared extends BranchProcess {
  override receive(message: ParticipantMessage): BranchOutput {
    const output = super.receive(message);
    if (message.type !== 'prepare' || this.inHand?.type !== 'prepare') return output;
    const vote = { ...this.address, type: 'vote', vote: 'yes', results: [] } as const;
    return { ...output, sent: [...output.sent, vote] };
  }
}

/** An error around PREPARE is taken as the proof that nothing was prepared. */
class UnknownMeansNo extends BranchProcess {
  override unanswered(): BranchOutput {
    const wasPrepare = this.inHand?.type === 'prepare';
    const output = super.unanswered();
    if (!wasPrepare) return output;
    const vote = { ...this.address, type: 'vote', vote: 'no', results: [] } as const;
    return { ...output, sent: [...output.sent, vote] };
  }
}

/** A branch that cannot reach its database when it is to commit says that it has. */
class UnknownMeansDone extends BranchProcess {
  override unanswered(): BranchOutput {
    if (this.inHand?.type !== 'commit') return super.unanswered();
    const answer: DatabaseAnswer = { type: 'ended', end: 'committed' };
    return this.answered(answer);
  }
}

/** Mistakes that people make with these protocols, each of which breaks one of the rules in a world of its own. */
export const TWO_PHASE_MISTAKES: readonly Mistake[] = [
  {
    name: 'the decision is sent before it is in the log',
    parts: withTransaction(DecisionBeforeLog),
    branches: 2,
    bounds: {},
    breaks: ['section 3'],
    consequence: { bounds: { leaderDeaths: 1 }, breaks: ['AC1', 'AC4', 'AC5'] },
  },
  {
    name: 'an abort is told and not logged',
    parts: withTransaction(UnloggedAbort),
    branches: 2,
    bounds: {},
    breaks: ['section 3'],
    consequence: { bounds: { leaderDeaths: 1 }, breaks: ['AC1', 'AC4', 'AC5'] },
  },
  {
    name: 'votes are counted by number, so that one comes to count twice',
    parts: withTransaction(VotesCountedByNumber),
    branches: 2,
    bounds: { duplicates: 1 },
    breaks: ['AC3'],
  },
  {
    name: 'a vote that is missing at the deadline is taken for granted',
    parts: withTransaction(CommitAtDeadline),
    branches: 2,
    bounds: {},
    breaks: ['AC3'],
  },
  {
    name: 'a late yes is ignored after the abort',
    parts: withTransaction(LateVotesIgnored),
    branches: 2,
    bounds: {},
    breaks: ['section 4.5'],
  },
  {
    name: 'a message that was lost is not sent again',
    parts: withTransaction(NothingSentAgain),
    branches: 2,
    bounds: {},
    breaks: ['AC5'],
  },
  {
    name: 'a branch is logged as ended when it was told, not when it has answered',
    parts: withTransaction(DoneWhenTold),
    branches: 2,
    bounds: {},
    breaks: ['section 3'],
  },
  {
    name: 'a leader proposes the opposite of what it has proposed, and the last decision in the log wins',
    parts: {
      ...withTransaction(ProposesBoth),
      createLog: () => new LastDecisionWins(new DecisionState(new PlainEndedTransactions())),
    },
    branches: 2,
    bounds: {},
    breaks: ['AC2', 'C1'],
  },
  {
    name: 'a new leader answers an inquiry before its no-op is applied',
    parts: withNode(AnswersBeforeNoOp),
    branches: 2,
    bounds: { leaderDeaths: 1, inquiries: 1 },
    breaks: ['section 3'],
    consequence: { bounds: { leaderDeaths: 1, inquiries: 1 }, breaks: ['AC1', 'AC4'] },
  },
  {
    name: 'a new leader aborts unlogged what it finds undecided',
    parts: withNode(AbortsWhatItFinds),
    branches: 2,
    bounds: { leaderDeaths: 1 },
    breaks: ['section 3'],
    consequence: { bounds: { leaderDeaths: 1 }, breaks: ['AC1', 'AC4', 'AC5'] },
  },
  {
    name: 'a client is told aborted because a proposal failed',
    parts: withNode(OppositeOfUnknown),
    branches: 2,
    bounds: { failedProposals: 1 },
    breaks: ['C1'],
  },
  {
    name: 'a deposed leader presumes an abort without a read barrier',
    parts: withNode(BarrierSkipped),
    branches: 2,
    bounds: { depositions: 1, inquiries: 1 },
    breaks: ['section 3'],
    consequence: { bounds: { depositions: 1, inquiries: 1 }, breaks: ['AC1', 'AC4'] },
  },
  {
    name: 'no tombstone is written',
    parts: withDatabase(NoTombstone),
    branches: 2,
    bounds: { duplicates: 1 },
    breaks: ['section 3', 'section 5'],
  },
  {
    name: 'one-phase work is repeated after an unknown result',
    parts: withDatabase(OnePhaseRepeated),
    branches: 1,
    bounds: { brokenConnections: 1, resends: 1 },
    breaks: ['section 4.7'],
  },
  {
    name: 'a prepared transaction that is gone is taken for committed',
    parts: withDatabase(MissingMeansCommitted),
    branches: 2,
    bounds: { endingsByHand: 1 },
    breaks: ['AC5'],
  },
  {
    name: 'a yes leaves before the work is prepared',
    parts: withProcess(VotesBeforePrepared),
    branches: 2,
    bounds: {},
    breaks: ['AC1', 'AC3'],
  },
  {
    name: 'a prepare with an unknown end is answered with no',
    parts: withProcess(UnknownMeansNo),
    branches: 2,
    bounds: { brokenConnections: 1 },
    breaks: ['AC4', 'section 5', 'section 3'],
  },
  {
    name: 'a commit with an unknown end is answered with done',
    parts: withProcess(UnknownMeansDone),
    branches: 2,
    bounds: { brokenConnections: 1 },
    breaks: ['section 3'],
  },
];
