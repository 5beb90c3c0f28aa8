import {
  findBranch,
  isPossibleBallot,
  isSameAcceptorSet,
  acceptorsOf,
  type AnnounceMessage,
  type BallotRequestMessage,
  type BranchAddress,
  type BranchDone,
  type DecideRecord,
  type DecisionMessage,
  type DecisionState,
  type LogRecord,
  type OutcomeMessage,
  type PreCommitRecord,
  type ProtocolMessage,
  type TransactionId,
  type TransactionState,
} from '@concordat/commit-protocol';
import type { AppliedRecord } from '../../../apps/coordinator/src/index.js';
import { Testimony } from './testimony.js';

const isReply = (message: ProtocolMessage): message is Parameters<Testimony['hear']>[0] =>
  ['vote', 'done', 'ballot-answer', 'branches-decided', 'inquiry', 'announce'].includes(message.type);

/**
 * Knows what participants have said, and watches whether the coordinator does only what follows from it: protocol
 * section 1 for every record that it proposes, section 3 for every message that leaves.
 */
export class CoordinatorJudge {
  readonly violations: string[] = [];
  readonly testimony: Testimony;
  /** while set, there are no clients: nothing is begun, enlisted, requested or ruled */
  isStorm = false;
  private readonly decisions = new Map<TransactionId, string>();
  /** what somebody has announced of each participant */
  private readonly announced = new Map<string, Set<string>>();

  constructor(private readonly state: DecisionState) {
    this.testimony = new Testimony(state);
  }

  delivered(message: ProtocolMessage): void {
    if (!isReply(message)) return; // to be ignored
    if (message.type === 'announce') this.hear(message);
    this.testimony.hear(message);
  }

  failed(error: unknown): void {
    this.violate(`sent what nobody can read: ${String(error)}`);
  }

  // --- records

  private hear({ participant, operations }: AnnounceMessage): void {
    this.announced.set(participant, new Set([...(this.announced.get(participant) ?? []), ...operations]));
  }

  proposed(record: LogRecord): void {
    switch (record.type) {
      case 'pre-commit':
        return this.withTransaction(record.transactionId, (transaction) => this.preCommit(transaction, record));
      case 'decide':
        return this.withTransaction(record.transactionId, (transaction) => this.decide(transaction, record));
      case 'branches-done':
        for (const done of record.items) this.branchDone(done);
        return;
      case 'participant': {
        const { name: participant, operations } = record;
        const announced = this.announced.get(participant);
        if (!announced) this.violate(`nobody announced ${participant}`);
        // what all of its processes serve is less than each of them says, never more
        if (!operations.every((operation) => announced?.has(operation)))
          this.violate(`nobody announced all of ${operations.join(', ')} of ${participant}`);
        return;
      }
      case 'expire':
        return;
      default:
        if (this.isStorm) this.violate(`no client asked for ${record.type}`);
    }
  }

  /** AC2: what is decided stays so, and does not come back undecided either. */
  applied({ record, result }: AppliedRecord): void {
    for (const { transactionId, decision } of result.transactions) {
      const before = this.decisions.get(transactionId);
      if (before !== undefined && before !== decision)
        this.violate(`${record.type} turned ${before} of ${transactionId} into ${String(decision)}`);
      if (decision !== undefined) this.decisions.set(transactionId, decision);
    }
  }

  private preCommit(transaction: TransactionState, { ballot }: PreCommitRecord): void {
    if (!isPossibleBallot(ballot, transaction.branches.length)) this.violate(`ballot ${ballot.round} is impossible`);
    if (transaction.preCommit) return;
    if (!this.testimony.allAgree(transaction))
      this.violate(`a ballot for ${transaction.transactionId} without all votes`);
  }

  private decide(transaction: TransactionState, record: DecideRecord): void {
    const allowed =
      record.decision === 'commit' ? this.mayCommit(transaction, record) : this.mayAbort(transaction, record);
    if (!allowed) this.violate(`nothing that was said leads to ${JSON.stringify(record)}`);
    if (record.decision === 'abort' && typeof record.cause?.reason !== 'string')
      this.violate(`an abort for a reason that is none: ${JSON.stringify(record.cause)}`);
  }

  private mayCommit(transaction: TransactionState, record: DecideRecord): boolean {
    const { delegatedTo, protocol, preCommit } = transaction;
    if (delegatedTo !== undefined) {
      return this.testimony.hasSaidEnd(delegatedTo, 'committed') || this.testimony.hasSaidEnd(delegatedTo, 'read-only');
    }
    if (protocol === '2pc') return this.testimony.allAgree(transaction);
    return preCommit ? this.isByBallot(transaction, record) : this.testimony.allReadOnly(transaction);
  }

  private mayAbort(transaction: TransactionState, record: DecideRecord): boolean {
    const { delegatedTo, preCommit } = transaction;
    if (delegatedTo !== undefined) {
      const ends = ['aborted', 'heuristic-rollback', 'heuristic-commit'] as const;
      return ends.some((end) => this.testimony.hasSaidEnd(delegatedTo, end));
    }
    if (preCommit) return this.isByBallot(transaction, record);
    return this.testimony.someRefused(transaction) || this.testimony.someSaysDecided(transaction, 'abort');
  }

  private isByBallot(transaction: TransactionState, { basis, decision }: DecideRecord): boolean {
    if (basis?.type === 'branches') return this.testimony.someSaysDecided(transaction, decision);
    return basis !== undefined && this.testimony.hasMajority(transaction, basis.ballot);
  }

  private branchDone({ transactionId, branchId, end }: BranchDone): void {
    this.withTransaction(transactionId, ({ decision, branches }) => {
      const said = (what: typeof end): boolean => this.testimony.hasSaidEnd(branchId, what);
      const isBrokenPromise =
        (end === 'heuristic-rollback' &&
          decision === 'commit' &&
          (said('aborted') || this.testimony.hasRefused(branchId))) ||
        (end === 'heuristic-commit' && decision === 'abort' && said('committed'));
      const isMember = branches.some((branch) => branch.branchId === branchId);
      if (!isMember || !(said(end) || isBrokenPromise)) this.violate(`${branchId} did not say that it is ${end}`);
    });
  }

  // --- messages

  published(message: ProtocolMessage): void {
    switch (message.type) {
      case 'decision':
        return this.decision(message);
      case 'ballot-request':
        return this.ballotRequest(message);
      case 'prepare':
      case 'commit-one-phase':
      case 'undecided':
        return this.addressed(message, ({ decision }) => decision === undefined);
      case 'unknown-old':
        if (this.state.find(message.transactionId) || !this.state.mayHaveExpired(message.transactionId))
          this.violate(`${message.transactionId} is not old`);
        return;
      case 'outcome':
        return this.outcome(message);
      default:
        this.violate(`sent a ${message.type}`);
    }
  }

  /** To a member only what is in the log; to a stranger nothing but the presumption of an abort. */
  private decision(message: DecisionMessage): void {
    const { transactionId, branchId, decision } = message;
    const transaction = this.state.find(transactionId);
    if (transaction && findBranch(transaction, branchId))
      return this.addressed(message, (one) => one.decision === decision);
    const isPresumed = transaction ? transaction.closed : !this.state.mayHaveExpired(transactionId);
    if (decision !== 'abort' || !isPresumed) this.violate(`told a stranger: ${JSON.stringify(message)}`);
  }

  private ballotRequest(message: BallotRequestMessage): void {
    const { acceptors, request, proposer } = message;
    this.addressed(message, (transaction) => {
      const { round } = transaction.preCommit ?? { round: -1 };
      const mayPropose = request.type === 'promise' || round > 0 || request.value === 'commit';
      const isLogged = request.ballot.round === round && request.ballot.proposer === 0;
      return isLogged && mayPropose && !proposer && isSameAcceptorSet(acceptors, acceptorsOf(transaction));
    });
  }

  private outcome({ transactionId, outcome }: OutcomeMessage): void {
    const { endedAt, outcome: logged } = this.state.find(transactionId) ?? {};
    if (endedAt === undefined || logged !== outcome) this.violate(`published ${outcome} of ${transactionId}`);
  }

  /** For a branch of a transaction, under its participant's name, and only if the log allows it. */
  private addressed(message: BranchAddress & { type: string }, isAllowed: (one: TransactionState) => boolean): void {
    this.withTransaction(message.transactionId, (transaction) => {
      const branch = findBranch(transaction, message.branchId);
      if (branch?.participant !== message.participant || !isAllowed(transaction))
        this.violate(`the log does not allow ${JSON.stringify(message)}`);
    });
  }

  private withTransaction(transactionId: TransactionId, check: (transaction: TransactionState) => void): void {
    const transaction = this.state.find(transactionId);
    if (transaction) check(transaction);
    else if (this.isStorm) this.violate(`there is no transaction ${transactionId}`);
  }

  private violate(rule: string): void {
    this.violations.push(rule.slice(0, 1_000));
  }
}
