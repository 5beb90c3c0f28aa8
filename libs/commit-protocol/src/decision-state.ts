import { unreachable, uuidV7Time } from '@concordat/foundation';
import { isDecidedByBallot, mayOpenBallot } from './ballot-rules.js';
import { delegate } from './delegation.js';
import type { EndedTransactions } from './ended-transactions.js';
import { FrozenState, type FrozenRemainder } from './frozen-state.js';
import { OldRulings, type OldRuling } from './old-rulings.js';
import type {
  BeginRecord,
  BranchesDoneRecord,
  CommitRequestedRecord,
  DecideRecord,
  EnlistRecord,
  LogRecord,
  ParticipantRecord,
  PreCommitRecord,
  ResolveRecord,
} from './records.js';
import { allReportedToCommit, allVotedToCommit, judgeRuling, rulingState, type RulingRefusal } from './rulings.js';
import { SortedIds } from './sorted-ids.js';
import {
  addBranch,
  findBranch,
  isHazard,
  keepsOpen,
  takeReports,
  transactionFromBegin,
  type BranchState,
  type ClaimState,
  type TransactionState,
} from './transaction-state.js';
import type { BranchEnd, TransactionId } from './types.js';

/** Why the state machine refused a record; nothing has changed then. */
export type Refusal =
  | 'UNKNOWN_TRANSACTION'
  | 'TRANSACTION_EXISTS'
  | 'KEY_IN_USE'
  | 'CLOSED'
  | 'DECIDED'
  | 'DELEGATED'
  | 'BRANCH_CONFLICT'
  | 'VOTES_MISSING'
  /** a decision after a ballot was opened needs its majority, or word from the branches */
  | 'BALLOT_UNDECIDED'
  /** no ballot may be opened: not three phases, still open, delegated, or not above the last one */
  | 'BALLOT_REFUSED'
  | RulingRefusal;

/** What became of a record. `transactions`: those it changed (none for a refusal; the one in question then). */
export interface ApplyResult {
  readonly refusal?: Refusal;
  readonly transactions: readonly TransactionState[];
}

const NOTHING: ApplyResult = { transactions: [] };

function refuse(refusal: Refusal, transaction?: TransactionState): ApplyResult {
  return { refusal, transactions: transaction ? [transaction] : [] };
}

/** A claim of an idempotency key, with the transaction it belongs to. */
export interface FoundClaim {
  readonly transaction: TransactionState;
  readonly claim: ClaimState;
}

/** What an operator must see even when it is idle: who takes part, and what it can do. */
export interface ParticipantState {
  readonly name: string;
  readonly operations: ReadonlySet<string>;
}

export interface DecisionStateSnapshot {
  readonly open: readonly TransactionState[];
  /** ended, but not known to be published; in the order in which they ended */
  readonly unpublished: readonly TransactionState[];
  readonly participants: readonly { readonly name: string; readonly operations: readonly string[] }[];
  readonly watermark: number;
  /** absent in a snapshot from before there were any */
  readonly oldRulings?: readonly OldRuling[];
}

/**
 * The replicated state machine (protocol section 2): every node that applies the same records holds the same
 * state. It refuses what the protocol forbids, whatever a leader proposes: a commit without all votes, a second
 * decision, a branch after the decision.
 *
 * A transaction lives in `open` until it has ended, then in `unpublished` until its outcome is known to be
 * published, and at last in the archive.
 *
 * Invariant: whatever changes a transaction calls `beforeChange` first, so that what is frozen stays as it was.
 */
export class DecisionState {
  private readonly open = new Map<TransactionId, TransactionState>();
  private readonly unpublished = new Map<TransactionId, TransactionState>();
  private readonly claims = new Map<string, FoundClaim>(); // of open and unpublished transactions
  private readonly participantsByName = new Map<string, ParticipantState>();
  private readonly rulingsOnOld = new OldRulings();
  private readonly ids = new SortedIds(); // of open and unpublished transactions
  private readonly hazardous = new Set<TransactionState>(); // open, with a hazard that nobody has ruled to be known
  private readonly frozen = new Set<FrozenState>();
  private retentionWatermark = 0;

  constructor(readonly archive: EndedTransactions) {}

  /** Transactions that began before it (milliseconds since 1970) may have been dropped. */
  get watermark(): number {
    return this.retentionWatermark;
  }

  get openCount(): number {
    return this.open.size;
  }

  get unpublishedCount(): number {
    return this.unpublished.size;
  }

  openTransactions(): Iterable<TransactionState> {
    return this.open.values();
  }

  /** Ended transactions whose outcome is not known to be published, in the order in which they ended. */
  unpublishedTransactions(): Iterable<TransactionState> {
    return this.unpublished.values();
  }

  /** By ascending id, from just above `aboveId` on. */
  *oldestOpenFirst(aboveId?: TransactionId): Iterable<TransactionState> {
    for (const transactionId of this.ids.above(aboveId)) {
      const transaction = this.open.get(transactionId);
      if (transaction) yield transaction;
    }
  }

  /** Open ones with a branch that ended against the decision, and that no operator has ruled to be known. */
  hazardousTransactions(): Iterable<TransactionState> {
    return this.hazardous;
  }

  findOpen(transactionId: TransactionId): TransactionState | undefined {
    return this.open.get(transactionId);
  }

  find(transactionId: TransactionId): TransactionState | undefined {
    return this.open.get(transactionId) ?? this.unpublished.get(transactionId) ?? this.archive.get(transactionId);
  }

  findClaim(key: string): FoundClaim | undefined {
    const hot = this.claims.get(key);
    if (hot) return hot;
    const transaction = this.archive.findByKey(key);
    const claim = transaction?.claims.find((candidate) => candidate.key === key);
    return transaction && claim ? { transaction, claim } : undefined;
  }

  /** Whether an unknown transaction may be one that was dropped: nothing can be presumed about it. */
  mayHaveExpired(transactionId: TransactionId): boolean {
    const time = uuidV7Time(transactionId);
    return time === undefined || time < this.retentionWatermark;
  }

  /** What operators ruled on branches of transactions that are older than the retention. */
  get oldRulings(): Pick<OldRulings, 'get' | 'judge'> {
    return this.rulingsOnOld;
  }

  participant(name: string): ParticipantState | undefined {
    return this.participantsByName.get(name);
  }

  participants(): Iterable<ParticipantState> {
    return this.participantsByName.values();
  }

  /** By descending id, from just below `belowId` on: open and ended ones together. */
  *newestFirst(belowId?: TransactionId): Iterable<TransactionState> {
    const hot = this.hotNewestFirst(belowId)[Symbol.iterator]();
    let next = hot.next();
    for (const ended of this.archive.newestFirst(belowId)) {
      for (; !next.done && next.value.transactionId > ended.transactionId; next = hot.next()) yield next.value;
      yield ended;
    }
    for (; !next.done; next = hot.next()) yield next.value;
  }

  private *hotNewestFirst(belowId?: TransactionId): Iterable<TransactionState> {
    for (const transactionId of this.ids.below(belowId)) {
      yield (this.open.get(transactionId) ?? this.unpublished.get(transactionId))!;
    }
  }

  apply(record: LogRecord, index: number): ApplyResult {
    switch (record.type) {
      case 'begin':
        return this.applyBegin(record, index);
      case 'enlist':
        return this.applyEnlist(record, index);
      case 'commit-requested':
        return this.applyCommitRequested(record, index);
      case 'pre-commit':
        return this.applyPreCommit(record, index);
      case 'decide':
        return this.applyDecide(record, index);
      case 'resolve':
        return this.applyResolve(record, index);
      case 'branches-done':
        return this.applyBranchesDone(record, index);
      case 'participant':
        return this.applyParticipant(record);
      case 'expire':
        this.retentionWatermark = Math.max(this.retentionWatermark, record.before);
        this.archive.expire(record.before);
        this.rulingsOnOld.expire(record.before);
        return NOTHING;
      default:
        return unreachable(record, 'record');
    }
  }

  /** The state as it is, of use until the next record is applied. */
  takeSnapshot(): DecisionStateSnapshot {
    return { open: [...this.open.values()], unpublished: [...this.unpublished.values()], ...this.remainder() };
  }

  /**
   * The state as it is, and stays for whoever reads it while records go on being applied; to be released.
   *
   * @param index of the last record that was applied
   */
  freeze(index: number): FrozenState {
    const [open, unpublished] = [[...this.open.values()], [...this.unpublished.values()]];
    const frozen = new FrozenState(index, open, unpublished, this.remainder(), (one) => void this.frozen.delete(one));
    this.frozen.add(frozen);
    return frozen;
  }

  private remainder(): FrozenRemainder {
    return {
      participants: [...this.participantsByName.values()].map(({ name, operations }) => ({
        name,
        operations: [...operations],
      })),
      watermark: this.retentionWatermark,
      oldRulings: this.rulingsOnOld.all(),
    };
  }

  /** Replaces everything but the archive, which has a snapshot of its own. */
  restoreSnapshot(snapshot: DecisionStateSnapshot): void {
    for (const map of [this.open, this.unpublished, this.claims, this.participantsByName]) map.clear();
    for (const transaction of snapshot.open) this.open.set(transaction.transactionId, transaction);
    for (const transaction of snapshot.unpublished) this.unpublished.set(transaction.transactionId, transaction);
    for (const transaction of [...snapshot.open, ...snapshot.unpublished]) {
      for (const claim of transaction.claims) this.claims.set(claim.key, { transaction, claim });
    }
    for (const { name, operations } of snapshot.participants) {
      this.participantsByName.set(name, { name, operations: new Set(operations) });
    }
    this.ids.reset([...this.open.keys(), ...this.unpublished.keys()]);
    this.hazardous.clear();
    for (const transaction of this.open.values()) this.noteHazards(transaction);
    this.retentionWatermark = snapshot.watermark;
    this.rulingsOnOld.restore(snapshot.oldRulings ?? []);
  }

  private applyBegin(record: BeginRecord, index: number): ApplyResult {
    const existing = this.find(record.transactionId);
    if (existing) return refuse('TRANSACTION_EXISTS', existing);
    const { idempotency } = record;
    const claimed = idempotency && this.findClaim(idempotency.key);
    if (claimed) return refuse('KEY_IN_USE', claimed.transaction);
    const transaction = transactionFromBegin(record, index);
    this.open.set(record.transactionId, transaction);
    this.ids.add(record.transactionId);
    if (idempotency) this.claims.set(idempotency.key, { transaction, claim: idempotency });
    return { transactions: [transaction] };
  }

  private applyEnlist(record: EnlistRecord, index: number): ApplyResult {
    const transaction = this.find(record.transactionId);
    if (!transaction) return refuse('UNKNOWN_TRANSACTION');
    const { branch: specification, idempotency } = record;
    if (idempotency && this.findClaim(idempotency.key)) return refuse('KEY_IN_USE', transaction);
    const existing = findBranch(transaction, specification.branchId);
    if (existing && !joins(existing, specification)) return refuse('BRANCH_CONFLICT', transaction);
    if (transaction.decision) return refuse('DECIDED', transaction);
    if (transaction.closed) return refuse('CLOSED', transaction);
    this.beforeChange(transaction);
    addBranch(transaction, specification);
    if (idempotency) {
      const claim: ClaimState = { ...idempotency, branchId: specification.branchId };
      transaction.claims.push(claim);
      this.claims.set(claim.key, { transaction, claim });
    }
    transaction.logIndex = index;
    return { transactions: [transaction] };
  }

  private applyCommitRequested(record: CommitRequestedRecord, index: number): ApplyResult {
    const transaction = this.find(record.transactionId);
    if (!transaction) return refuse('UNKNOWN_TRANSACTION');
    if (transaction.decision) return refuse('DECIDED', transaction);
    if (transaction.closed) return refuse('CLOSED', transaction);
    this.beforeChange(transaction);
    transaction.closed = true;
    // a branch that was enlisted while the request was on its way must not be left out of the decision
    const mayDelegate = record.delegateTo !== undefined && delegate(transaction.branches) === record.delegateTo;
    if (mayDelegate) transaction.delegatedTo = record.delegateTo;
    transaction.logIndex = index;
    return { transactions: [transaction] };
  }

  private applyPreCommit(record: PreCommitRecord, index: number): ApplyResult {
    const transaction = this.find(record.transactionId);
    if (!transaction) return refuse('UNKNOWN_TRANSACTION');
    if (transaction.decision) return refuse('DECIDED', transaction);
    if (!mayOpenBallot(transaction, record.ballot)) return refuse('BALLOT_REFUSED', transaction);
    if (!transaction.preCommit && !allReportedToCommit(transaction, record.reports)) {
      return refuse('VOTES_MISSING', transaction);
    }
    this.beforeChange(transaction);
    takeReports(transaction, record.reports);
    transaction.preCommit = record.ballot;
    transaction.logIndex = index;
    return { transactions: [transaction] };
  }

  private applyDecide(record: DecideRecord, index: number): ApplyResult {
    const transaction = this.find(record.transactionId);
    if (!transaction) return refuse('UNKNOWN_TRANSACTION');
    if (transaction.decision) return refuse('DECIDED', transaction); // the first one in the log wins
    const delegated = transaction.delegatedTo !== undefined;
    if (delegated !== (record.delegatedEnd !== undefined)) return refuse('DELEGATED', transaction);
    if (record.decision === 'commit' && !delegated && !allVotedToCommit(transaction, record.reports)) {
      return refuse('VOTES_MISSING', transaction);
    }
    if (!delegated && !isDecidedByBallot(transaction, record)) return refuse('BALLOT_UNDECIDED', transaction);
    this.beforeChange(transaction);
    takeReports(transaction, record.reports);
    for (const branch of transaction.branches) {
      const end = delegated ? record.delegatedEnd : endAtDecision(transaction, branch, record);
      if (end) branch.end = end;
      if (record.decision === 'abort') delete branch.results; // a ballot may have come with them
    }
    transaction.closed = true;
    transaction.decision = record.decision;
    if (record.cause) transaction.cause = record.cause;
    transaction.decidedAt = record.at;
    transaction.logIndex = index;
    this.settle(transaction, record.at);
    return { transactions: [transaction] };
  }

  /** An operator's ruling; a decision by it is made, and refused, as any other. */
  private applyResolve(record: ResolveRecord, index: number): ApplyResult {
    const transaction = this.find(record.transactionId);
    if (!transaction) return this.applyOldRuling(record);
    const { idempotency, action, at } = record;
    if (idempotency && this.findClaim(idempotency.key)) return refuse('KEY_IN_USE', transaction);
    const judgement = judgeRuling(transaction, record);
    if (judgement.refusal !== undefined) return refuse(judgement.refusal, transaction);
    this.beforeChange(transaction);
    const count = (transaction.rulings ??= []).push(rulingState(record, judgement.effect));
    if (idempotency) {
      const claim: ClaimState = { ...idempotency, ruling: count - 1 };
      transaction.claims.push(claim);
      this.claims.set(claim.key, { transaction, claim });
    }
    if (judgement.effect === 'decided' && action !== 'forget') {
      const { transactionId, reports, operator, reason } = record;
      const cause = { reason: 'OPERATOR', detail: `${operator} ruled so: ${reason}` } as const;
      const decide = { type: 'decide', transactionId, decision: action, reports, at } as const;
      return this.applyDecide(action === 'abort' ? { ...decide, cause } : decide, index);
    }
    for (const branch of judgement.branches) {
      if (action === 'forget') branch.forgotten = true;
      else branch.ruling = action;
    }
    if (!transaction.decision) giveUp(transaction, record);
    transaction.logIndex = index;
    this.settle(transaction, at);
    return { transactions: [transaction] };
  }

  private applyOldRuling(record: ResolveRecord): ApplyResult {
    const { transactionId, branchId, participant, action, operator, reason, force, at } = record;
    if (participant === undefined || !this.mayHaveExpired(transactionId)) return refuse('UNKNOWN_TRANSACTION');
    const refusal = this.rulingsOnOld.judge(record);
    if (refusal !== undefined || branchId === undefined) return refuse(refusal ?? 'BRANCH_NEEDED');
    this.rulingsOnOld.add({ transactionId, branchId, participant, action, operator, reason, force, at });
    return NOTHING;
  }

  private applyBranchesDone(record: BranchesDoneRecord, index: number): ApplyResult {
    const changed = new Set<TransactionState>();
    for (const { transactionId, branchId, end } of record.items) {
      const transaction = this.open.get(transactionId);
      const branch = transaction && findBranch(transaction, branchId);
      if (!transaction?.decision || !branch || isHazard(branch.end)) continue;
      if (branch.end !== undefined && !isHazard(end)) continue; // a repeat
      this.beforeChange(transaction);
      branch.end = end;
      transaction.logIndex = index;
      changed.add(transaction);
    }
    for (const transaction of changed) this.settle(transaction, record.at);
    for (const transaction of this.unpublished.values()) {
      if (transaction.logIndex > record.publishedIndex) break;
      this.archiveEnded(transaction);
    }
    return { transactions: [...changed] };
  }

  private applyParticipant(record: ParticipantRecord): ApplyResult {
    this.participantsByName.set(record.name, { name: record.name, operations: new Set(record.operations) });
    return NOTHING;
  }

  /**
   * Sets the outcome, and ends the transaction when every branch has ended without a hazard, or is forgotten. A
   * commit that ends without having heard of a branch is `mixed`: nobody knows that all of it is there. So is a
   * delegated one, whose branch may have committed. Another abort is not, because nothing of it can ever show.
   */
  private settle(transaction: TransactionState, at: number): void {
    const { branches, decision } = transaction;
    const open = branches.some(keepsOpen);
    const mayShow = decision === 'commit' || transaction.delegatedTo !== undefined;
    const unknown = !open && mayShow && branches.some(({ end }) => end === undefined);
    const mixed = unknown || branches.some(({ end }) => isHazard(end));
    this.noteHazards(transaction);
    transaction.outcome = mixed ? 'mixed' : decision === 'commit' ? 'committed' : 'aborted';
    if (open) return;
    transaction.endedAt = at;
    this.open.delete(transaction.transactionId);
    this.unpublished.set(transaction.transactionId, transaction);
  }

  private noteHazards(transaction: TransactionState): void {
    if (transaction.branches.some(({ end, forgotten }) => isHazard(end) && !forgotten)) this.hazardous.add(transaction);
    else this.hazardous.delete(transaction);
  }

  private beforeChange(transaction: TransactionState): void {
    for (const frozen of this.frozen) frozen.beforeChange(transaction);
  }

  private archiveEnded(transaction: TransactionState): void {
    this.unpublished.delete(transaction.transactionId);
    this.ids.delete(transaction.transactionId);
    for (const claim of transaction.claims) this.claims.delete(claim.key);
    this.archive.add(transaction);
  }
}

/**
 * The branch that was to decide is no longer waited for. The decision stands for what may be presumed of it; that
 * nobody knows says the outcome, `mixed`.
 */
function giveUp(transaction: TransactionState, { operator, reason, at }: ResolveRecord): void {
  transaction.decision = 'abort';
  transaction.cause = {
    reason: 'OPERATOR',
    detail: `${operator} gave up its only branch, which may have committed: ${reason}`,
  };
  transaction.decidedAt = at;
}

/** Whether an enlistment is a repeat of a branch's own, or adds operations to it. */
function joins(existing: BranchState, specification: EnlistRecord['branch']): boolean {
  if (existing.participant !== specification.participant) return false;
  return existing.selfPrepared
    ? specification.enlistedVote === existing.vote
    : specification.enlistedVote === undefined && specification.operations.length > 0;
}

/**
 * How a branch ends by the decision alone. A read-only branch holds nothing, and as an acceptor starts no ballot. A
 * branch that voted no has its tombstone; one that was never asked (its transaction was aborted before the commit was
 * requested) has nothing to undo. All others must be told.
 */
function endAtDecision(
  transaction: TransactionState,
  branch: BranchState,
  record: DecideRecord,
): BranchEnd | undefined {
  if (branch.vote === 'read-only') return 'read-only';
  if (record.decision === 'commit') return undefined;
  if (branch.vote === 'no') return 'aborted';
  return !transaction.closed && !branch.selfPrepared ? 'aborted' : undefined;
}
