import {
  compareBallots,
  findBranch,
  majorityOf,
  type Ballot,
  type BranchEnd,
  type BranchId,
  type Decision,
  type DecisionState,
  type ReplyMessage,
  type TransactionId,
  type TransactionState,
  type Vote,
} from '@concordat/commit-protocol';

/** What one branch has said of itself: the only thing that may move its transaction. */
interface Said {
  lastVote: Vote | undefined;
  hasRefused: boolean;
  readonly ends: Set<BranchEnd>;
  readonly accepted: Ballot[];
  /** what it says that the branches decided */
  readonly decided: Set<Decision>;
}

/**
 * What branches have said, by the rule that makes it theirs: transaction, branch and participant belong together. Who
 * else says something has said nothing.
 */
export class Testimony {
  private readonly said = new Map<BranchId, Said>();
  /** transactions of which a branch has said something since it was last cleared */
  readonly moved = new Set<TransactionId>();

  constructor(private readonly state: DecisionState) {}

  hear(message: ReplyMessage): void {
    if (message.type === 'announce' || message.type === 'inquiry') return;
    const transaction = this.state.find(message.transactionId);
    const branch = transaction && findBranch(transaction, message.branchId);
    if (!branch || branch.participant !== message.participant) return;
    this.moved.add(message.transactionId);
    const said = this.of(message.branchId);
    switch (message.type) {
      case 'vote':
        said.lastVote = message.vote;
        said.hasRefused ||= message.vote === 'no';
        return;
      case 'done':
        said.ends.add(message.end);
        return;
      case 'branches-decided':
        said.decided.add(message.decision);
        return;
      case 'ballot-answer':
        if (message.proposer) return; // meant for a branch
        if (message.answer.type === 'accepted') said.accepted.push(message.answer.ballot);
        if (message.answer.type === 'decided') said.decided.add(message.answer.decision);
    }
  }

  /** Every branch has given its vote, and its last one was no refusal (AC3). */
  allAgree({ branches, protocol }: TransactionState): boolean {
    return branches.every(({ branchId, selfPrepared, vote }) => {
      // of acceptors only the vote that is on their record counts, not the one of their enlistment
      const given = this.of(branchId).lastVote ?? (selfPrepared && protocol === '2pc' ? vote : undefined);
      return given === 'yes' || given === 'read-only';
    });
  }

  allReadOnly({ branches }: TransactionState): boolean {
    return branches.every(({ branchId }) => this.of(branchId).lastVote === 'read-only');
  }

  /** A branch has refused, or has aborted before anybody decided. */
  someRefused({ branches }: TransactionState): boolean {
    return branches.some(({ branchId, vote }) => {
      const { hasRefused, ends } = this.of(branchId);
      return hasRefused || vote === 'no' || ends.has('aborted');
    });
  }

  hasMajority({ branches }: TransactionState, ballot: Ballot): boolean {
    const accepting = branches.filter(({ branchId }) =>
      this.of(branchId).accepted.some((accepted) => compareBallots(accepted, ballot) === 0),
    );
    return accepting.length >= majorityOf(branches.length);
  }

  /** A branch says that the branches decided so, or has ended so before anybody else knew. */
  someSaysDecided({ branches }: TransactionState, decision: Decision): boolean {
    const end: BranchEnd = decision === 'commit' ? 'committed' : 'aborted';
    return branches.some(({ branchId }) => this.of(branchId).decided.has(decision) || this.of(branchId).ends.has(end));
  }

  hasSaidEnd(branchId: BranchId, end: BranchEnd): boolean {
    return this.of(branchId).ends.has(end);
  }

  hasRefused(branchId: BranchId): boolean {
    return this.of(branchId).hasRefused;
  }

  private of(branchId: BranchId): Said {
    let said = this.said.get(branchId);
    if (!said) {
      said = { lastVote: undefined, hasRefused: false, ends: new Set(), accepted: [], decided: new Set() };
      this.said.set(branchId, said);
    }
    return said;
  }
}
