import { invariant, unreachable, uuidV7Time } from '@concordat/foundation';
import { NOTHING, refuse, type ApplyResult } from './apply-result.js';
import type { EndedTransactions } from './ended-transactions.js';
import { latestTimeIn, type DecisionStateSnapshot, type SnapshotRemainder } from './decision-state-snapshot.js';
import { FrozenState } from './frozen-state.js';
import { KnownParticipants, type ParticipantState } from './known-participants.js';
import { isLockRecord } from './locks/lock-records.js';
import { LockTable } from './locks/lock-table.js';
import { LogTime } from './log-time.js';
import { OldRulings } from './old-rulings.js';
import {
  allReportedToCommit,
  allVotedToCommit,
  checkTransaction,
  endAtDecision,
  giveUp,
  isDecidedByBallot,
  joins,
  mayOpenBallot,
} from './record-rules.js';
import type {
  BeginRecord,
  BranchesDoneRecord,
  CommitRequestedRecord,
  DecideRecord,
  DecisionRecord,
  EnlistRecord,
  ExpireRecord,
  GroupBornRecord,
  LogRecord,
  PreCommitRecord,
  ResolveRecord,
} from './records.js';
import { judgeRuling, rulingState } from './ruling-judgement.js';
import { SortedIds } from './sorted-ids.js';
import {
  addBranch,
  delegate,
  findBranch,
  keepsOpen,
  takeLosses,
  takeReports,
  transactionFromBegin,
  type ClaimState,
  type TransactionState,
  sizeOfContent,
} from './transaction-state.js';
import { isHazard, type TransactionId } from '../vocabulary/types.js';

/** JSON that one record moves into the archive, which compresses it. */
const ARCHIVED_BYTES_PER_RECORD = 512 * 1024;

/** A claim of an idempotency key, with the transaction it belongs to. */
export interface FoundClaim {
  readonly transaction: TransactionState;
  readonly claim: ClaimState;
}

/**
 * The replicated state machine (protocol section 2): every node that applies the same records has the same state. It
 * refuses what the protocol forbids, whatever a leader proposes: a commit without all votes, a second decision, a
 * branch after the decision.
 *
 * A transaction is in `open` until it has ended, then in `unpublished` until its outcome is known to be published, and
 * then in the archive.
 *
 * Invariant: every change of a transaction calls `beforeChange` first, so that frozen states stay unchanged.
 */
export class DecisionState {
  private readonly open = new Map<TransactionId, TransactionState>();
  private readonly unpublished = new Map<TransactionId, TransactionState>();
  private readonly claims = new Map<string, FoundClaim>(); // of open and unpublished transactions
  private readonly known = new KnownParticipants();
  private readonly lockTable = new LockTable();
  private readonly rulingsOnOld = new OldRulings();
  private readonly ids = new SortedIds(); // of open and unpublished transactions
  private readonly hazardous = new Set<TransactionState>(); // open, with a hazard that no operator has forgotten
  private readonly frozen = new Set<FrozenState>();
  private readonly time = new LogTime();
  private retentionWatermark = 0;
  private birth: number | undefined;

  constructor(readonly archive: EndedTransactions) {}

  /**
   * Transactions that began before this (milliseconds since 1970) may have been dropped, or belong to an earlier group.
   * Above the id of every transaction that was ever dropped, at any clock.
   */
  get watermark(): number {
    return this.retentionWatermark;
  }

  /** Log time and its last step; see `LogTime`. */
  get logTime(): Pick<LogTime, 'now' | 'steppedTo'> {
    return this.time;
  }

  /** When the group was born; undefined before. Until then nothing can be presumed. */
  get bornAt(): number | undefined {
    return this.birth;
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

  /** Ended transactions whose outcome is not known to be published, by the order of their ends. */
  unpublishedTransactions(): Iterable<TransactionState> {
    return this.unpublished.values();
  }

  /** By ascending id, after `aboveId`. */
  *oldestOpenFirst(aboveId?: TransactionId): Iterable<TransactionState> {
    for (const transactionId of this.ids.above(aboveId)) {
      const transaction = this.open.get(transactionId);
      if (transaction) yield transaction;
    }
  }

  /** Open transactions with a branch that ended against the decision and that no operator has forgotten. */
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

  /**
   * Whether an unknown transaction may have been dropped, or belong to an earlier group that lost its data. Nothing can
   * be presumed about it.
   */
  mayHaveExpired(transactionId: TransactionId): boolean {
    const time = uuidV7Time(transactionId);
    return this.birth === undefined || time === undefined || time < this.retentionWatermark;
  }

  /** Operators' rulings on branches of transactions older than the retention. */
  get oldRulings(): Pick<OldRulings, 'get' | 'judge'> {
    return this.rulingsOnOld;
  }

  participant(name: string): ParticipantState | undefined {
    return this.known.get(name);
  }

  participants(): Iterable<ParticipantState> {
    return this.known.all();
  }

  /** The locks that are held. */
  get locks(): Pick<LockTable, 'get' | 'all' | 'size'> {
    return this.lockTable;
  }

  /** Open and ended ones by descending id, before `belowId`. */
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
    const now = this.time.advance(record.at ?? 0);
    if (isLockRecord(record)) return this.lockTable.apply(record, index, now);
    const result = this.applyRecord(record, index);
    if (result.refusal === undefined) for (const transaction of result.transactions) checkTransaction(transaction);
    return result;
  }

  private applyRecord(record: DecisionRecord, index: number): ApplyResult {
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
        this.known.announce(record);
        return NOTHING;
      case 'expire':
        return this.applyExpire(record);
      case 'group-born':
        return this.applyGroupBorn(record);
      default:
        return unreachable(record, 'record');
    }
  }

  /** The current state, valid until the next record is applied. */
  takeSnapshot(): DecisionStateSnapshot {
    const [open, unpublished] = [[...this.open.values()], [...this.unpublished.values()]];
    return { open, unpublished, locks: [...this.lockTable.all()], ...this.remainder() };
  }

  /**
   * The current state, unchanged while further records are applied. The caller must release it.
   *
   * @param index of the last applied record
   */
  freeze(index: number): FrozenState {
    const [open, unpublished] = [[...this.open.values()], [...this.unpublished.values()]];
    const locks = [...this.lockTable.all()];
    const release = (one: FrozenState): void => void this.frozen.delete(one);
    const frozen = new FrozenState(index, open, unpublished, this.remainder(), locks, release);
    this.frozen.add(frozen);
    return frozen;
  }

  private remainder(): SnapshotRemainder {
    return {
      participants: this.known.snapshot(),
      watermark: this.retentionWatermark,
      oldRulings: this.rulingsOnOld.all(),
      time: this.time.snapshot(),
      ...(this.birth !== undefined && { bornAt: this.birth }),
    };
  }

  /** Replaces everything but the archive, which has its own snapshot. */
  restoreSnapshot(snapshot: DecisionStateSnapshot): void {
    for (const map of [this.open, this.unpublished, this.claims]) map.clear();
    for (const transaction of snapshot.open) this.open.set(transaction.transactionId, transaction);
    for (const transaction of snapshot.unpublished) this.unpublished.set(transaction.transactionId, transaction);
    for (const transaction of [...snapshot.open, ...snapshot.unpublished]) {
      for (const claim of transaction.claims) this.claims.set(claim.key, { transaction, claim });
    }
    this.known.restore(snapshot.participants);
    this.lockTable.restore(snapshot.locks ?? []);
    this.ids.reset([...this.open.keys(), ...this.unpublished.keys()]);
    this.hazardous.clear();
    for (const transaction of this.open.values()) this.noteHazards(transaction);
    this.retentionWatermark = snapshot.watermark;
    this.rulingsOnOld.restore(snapshot.oldRulings ?? []);
    this.time.restore(snapshot.time ?? { now: latestTimeIn(snapshot), steppedTo: 0 });
    this.birth = snapshot.bornAt;
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
    if (record.branchIds?.some((id) => !findBranch(transaction, id))) return refuse('BRANCH_MISSING', transaction);
    this.beforeChange(transaction);
    transaction.closed = true;
    // A branch that was enlisted while the request was in flight must take part in the decision.
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
    if (transaction.decision) return refuse('DECIDED', transaction); // the first decision in the log wins
    const delegated = transaction.delegatedTo !== undefined;
    if (delegated !== (record.delegatedEnd !== undefined)) return refuse('DELEGATED', transaction);
    if (record.decision === 'commit' && !delegated && !allVotedToCommit(transaction, record.reports)) {
      return refuse('VOTES_MISSING', transaction);
    }
    if (!delegated && !isDecidedByBallot(transaction, record)) return refuse('BALLOT_UNDECIDED', transaction);
    this.beforeChange(transaction);
    takeReports(transaction, record.reports);
    takeLosses(transaction, record.losses);
    for (const branch of transaction.branches) {
      const end = delegated ? record.delegatedEnd : endAtDecision(transaction, branch, record);
      if (end) branch.end = end;
      if (record.decision === 'abort') delete branch.results; // a ballot may have brought them
    }
    invariant(transaction.decision === undefined, 'AC2: a decision in the log never changes');
    transaction.closed = true;
    transaction.decision = record.decision;
    if (record.cause) transaction.cause = record.cause;
    transaction.decidedAt = this.time.now;
    transaction.logIndex = index;
    this.settle(transaction);
    return { transactions: [transaction] };
  }

  /** An operator's ruling. A decision by ruling follows the same rules as any other. */
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
      const cause = { reason: 'OPERATOR', detail: `ruled by ${operator}: ${reason}` } as const;
      const decide = { type: 'decide', transactionId, decision: action, reports, at } as const;
      return this.applyDecide(action === 'abort' ? { ...decide, cause } : decide, index);
    }
    for (const branch of judgement.branches) {
      if (action === 'forget') branch.forgotten = true;
      else branch.ruling = action;
    }
    if (!transaction.decision) giveUp(transaction, record, this.time.now);
    transaction.logIndex = index;
    this.settle(transaction);
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
    for (const transaction of changed) this.settle(transaction);
    this.archivePublished(record.publishedIndex);
    return { transactions: [...changed] };
  }

  /**
   * A dropped transaction must never be presumed aborted, whatever the times of its id and its end: the watermark also
   * rises above the highest dropped id. It moves with log time, never beyond it.
   */
  private applyExpire({ before, at, crowded }: ExpireRecord): ApplyResult {
    if (at !== undefined && !crowded && before < this.time.steppedTo) return refuse('AGE_UNKNOWN');
    const end = at === undefined ? before : Math.min(before, this.time.now);
    const highestDropped = this.archive.expire(end);
    this.raiseWatermark(end);
    if (highestDropped !== undefined) this.raiseWatermark((uuidV7Time(highestDropped) ?? 0) + 1);
    this.rulingsOnOld.expire(end);
    invariant(
      highestDropped === undefined || this.mayHaveExpired(highestDropped),
      'what was dropped is remembered as old',
    );
    return NOTHING;
  }

  private applyGroupBorn({ at }: GroupBornRecord): ApplyResult {
    if (this.birth !== undefined) return refuse('ALREADY_BORN');
    this.birth = at;
    this.raiseWatermark(at);
    return NOTHING;
  }

  private raiseWatermark(to: number): void {
    this.retentionWatermark = Math.max(this.retentionWatermark, to);
  }

  /**
   * Sets the outcome, and ends the transaction when every branch has ended without a hazard, or is forgotten. A commit
   * that ends without an answer of a branch is `mixed`: nobody knows that all of it is there. So is a delegated abort,
   * whose branch may have committed. Another abort is not: nothing of it can ever become visible.
   */
  private settle(transaction: TransactionState): void {
    const { branches, decision } = transaction;
    const open = branches.some(keepsOpen);
    const mayShow = decision === 'commit' || transaction.delegatedTo !== undefined;
    const unknown = !open && mayShow && branches.some(({ end }) => end === undefined);
    const mixed = unknown || branches.some(({ end }) => isHazard(end));
    this.noteHazards(transaction);
    transaction.outcome = mixed ? 'mixed' : decision === 'commit' ? 'committed' : 'aborted';
    if (open) return;
    transaction.endedAt = this.time.now; // not the record's own time, which may be lower than that of the record before
    invariant(this.open.delete(transaction.transactionId), 'a transaction ends once');
    this.unpublished.set(transaction.transactionId, transaction);
  }

  private noteHazards(transaction: TransactionState): void {
    if (transaction.branches.some(({ end, forgotten }) => isHazard(end) && !forgotten)) this.hazardous.add(transaction);
    else this.hazardous.delete(transaction);
  }

  private beforeChange(transaction: TransactionState): void {
    for (const frozen of this.frozen) frozen.beforeChange(transaction);
  }

  /** A bounded part at a time, because archiving takes time; later records move the rest. */
  private archivePublished(publishedIndex: number): void {
    let sizeBytes = 0;
    for (const transaction of this.unpublished.values()) {
      if (transaction.logIndex > publishedIndex || sizeBytes >= ARCHIVED_BYTES_PER_RECORD) break;
      sizeBytes += sizeOfContent(transaction);
      this.archiveEnded(transaction);
    }
  }

  private archiveEnded(transaction: TransactionState): void {
    invariant(this.unpublished.delete(transaction.transactionId), 'only what has ended is archived');
    this.ids.delete(transaction.transactionId);
    for (const claim of transaction.claims) this.claims.delete(claim.key);
    this.archive.add(transaction);
  }
}
