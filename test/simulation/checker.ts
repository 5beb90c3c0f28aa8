import { canonicalJson, type JsonValue } from '@concordat/foundation';
import { Violation, type Trace } from '@concordat/foundation/testing';
import {
  isLockRecord,
  type ApplyResult,
  type BranchEnd,
  type CoordinatorMessage,
  type Decision,
  type LogRecord,
  type OperationCall,
  type Protocol,
  type ProtocolMessage,
  type ResolveRecord,
  type TransactionState,
  type VoteMessage,
} from '@concordat/commit-protocol';
import type { AppliedRecord, DecisionLog } from '../../apps/coordinator/src/index.js';
import { AdmissionBook } from './admission-book.js';
import { AnswerBook } from './answer-book.js';
import { BallotBook } from './ballot-book.js';
import { Exemptions } from './exemptions.js';
import type { AcceptorRow, Movement } from '../support/modelled-database/database-rows.js';
import type { DatabaseObserver, LostWrite, ModelledDatabase } from '../support/modelled-database/modelled-database.js';
import { summaryOf } from './message-summary.js';
import { LockBook } from './locks/lock-book.js';
import { ReplicaBook } from './replica-book.js';
import { RetentionBook } from './retention-book.js';
import { SaidBook } from './said-book.js';

export interface KnownBranch {
  readonly participant: string;
  readonly operations: readonly OperationCall[];
  readonly end?: BranchEnd;
}

/** What the checker knows of one transaction, from the committed log alone. */
export interface KnownTransaction {
  readonly transactionId: string;
  protocol?: Protocol;
  readonly branches: Map<string, KnownBranch>;
  readonly delegated: Set<string>;
  /** the wish of a client that it came from */
  intent?: JsonValue | undefined;
  decision?: Decision;
  outcome?: string;
  endedIndex?: number;
}

interface Effect {
  readonly branchId: string;
  readonly database: ModelledDatabase;
  readonly transactionId: string;
  readonly movements: readonly Movement[];
}

/** A branch that a backup of long ago has brought back. */
export interface AncientTransaction {
  readonly transactionId: string;
  readonly branchId: string;
  readonly participant: string;
  readonly decision: Decision;
  readonly movement: Movement;
}

/** Without faults a commit that has arrived waits for nothing but a few statements. */
const PHASE_TWO_CALM_MS = 200;

/**
 * Watches everything that can be seen from outside and keeps its own account of it: the log as it is committed,
 * the wire, what the databases make durable, and what clients are told. A rule that is broken is reported at the
 * instant at which it is broken.
 */
export class Checker implements DatabaseObserver {
  readonly transactions = new Map<string, KnownTransaction>();
  effects: Effect[] = [];
  readonly exemptions = new Exemptions();
  readonly ancient: AncientTransaction[] = [];
  /** ends that a restored database has undone */
  readonly broughtBack = new Set<string>();
  readonly ballots: BallotBook;
  readonly said: SaidBook;
  readonly replicas: ReplicaBook;
  readonly answers: AnswerBook;
  readonly retention: RetentionBook;
  readonly locks: LockBook;
  private readonly admission: AdmissionBook;
  private readonly presumedAborted = new Map<string, Set<string>>();
  private readonly rolledBackBranches = new Set<string>();
  private readonly committedBranches = new Set<string>();
  private readonly preparedBranches = new Set<string>();
  private readonly readOnlyVotes = new Set<string>();
  private readonly refusals = new Set<string>();
  private readonly decisionsHeard = new Map<string, number>();
  private readonly keyOwners = new Map<string, string>();
  private clocksSet = false;
  private calm = false;
  private violation: Violation | undefined;

  /**
   * @param comparedEvery the whole states of the nodes are compared at every so many-th index
   * @param retentionMs how long what has ended must be known
   * @param isDurable whether a majority of disks holds the entry of an index with these very bytes
   */
  constructor(
    private readonly trace: Trace,
    { comparedEvery, retentionMs }: { readonly comparedEvery: number; readonly retentionMs: number },
    private readonly isDurable: (index: number) => boolean,
  ) {
    const violate = (rule: string): void => this.violate(rule);
    const now = (): number => trace.time;
    this.ballots = new BallotBook(violate);
    this.said = new SaidBook(violate, now);
    this.locks = new LockBook(violate, now);
    this.replicas = new ReplicaBook(violate, comparedEvery);
    this.answers = new AnswerBook(violate, (transactionId) => this.transactions.get(transactionId));
    this.retention = new RetentionBook(violate, now, retentionMs);
    this.admission = new AdmissionBook(violate, (transactionId) => {
      const known = this.transactions.get(transactionId);
      return known !== undefined && known.decision === undefined;
    });
  }

  /** Whether anybody may ask about what nobody knows any more. */
  get mayMeetOld(): boolean {
    return this.retention.hasExpired || this.ancient.length > 0;
  }

  /** Whether clocks may have been found to differ. */
  get clocksWereSet(): boolean {
    return this.clocksSet;
  }

  clockSet(): void {
    this.clocksSet = true;
  }

  /** The first rule that was broken. */
  get failure(): Violation | undefined {
    return this.violation;
  }

  /** Nothing goes wrong in this run, so nothing may take long either. */
  expectCalm(): void {
    this.calm = true;
    this.said.expectCalm();
  }

  violate(rule: string): void {
    this.trace.event(`VIOLATION ${rule}`);
    this.violation ??= new Violation(rule);
  }

  onApplied(nodeId: number, log: DecisionLog, applied: AppliedRecord): void {
    this.replicas.hasApplied(nodeId, log, applied, (summary) => {
      const { index, record, result } = applied;
      this.trace.event(`applied ${index} by ${nodeId}: ${summary}`);
      this.learn(index, record, result);
      this.retention.watermark = log.state.watermark;
      if (record.type === 'expire') this.retention.expired(log, record);
    });
  }

  /** Nothing leaves before what it rests upon is committed (protocol section 3). */
  published(nodeId: number, message: ProtocolMessage): void {
    this.trace.event(`node ${nodeId} publishes ${summaryOf(message)}`);
    if (message.type === 'prepare' || message.type === 'commit-one-phase')
      this.admission.sent(nodeId, this.replicas.termOf(nodeId), message);
    if (message.type === 'commit-one-phase') {
      const known = this.transactions.get(message.transactionId);
      if (!known?.delegated.has(message.branchId)) {
        this.violate(`node ${nodeId} delegates ${message.branchId} before the log says so`);
      }
    } else if (message.type === 'decision') this.decisionPublished(nodeId, message);
    else if (message.type === 'ballot-request') this.ballots.asked(nodeId, this.replicas.termOf(nodeId), message);
    else if (message.type === 'ruling') {
      if (this.exemptions.rulingOf(message.branchId) !== message.ruling)
        this.violate(`node ${nodeId} tells a ruling on ${message.branchId} before the log says so`);
    } else if (message.type === 'outcome') {
      const known = this.transactions.get(message.transactionId);
      if (known?.outcome !== message.outcome) {
        this.violate(
          `the outcome ${message.outcome} of ${message.transactionId} is published, it is ${known?.outcome}`,
        );
      }
    }
  }

  /** What a participant sends; kept to know which `yes` was backed by what. */
  replied(message: ProtocolMessage): void {
    this.trace.event(`${'participant' in message ? message.participant : '?'} publishes ${summaryOf(message)}`);
    this.said.replied(message);
    if (message.type === 'decision' || message.type === 'branches-decided') return this.ballots.told(message);
    if (message.type !== 'vote') return;
    const { branchId, vote } = message;
    if (this.exemptions.hasLost(branchId)) return; // it may say out of its memory what its database has lost
    this.checkVoteOnRecord(message);
    if (vote === 'read-only') this.readOnlyVotes.add(branchId);
    if (vote === 'no') {
      this.refusals.add(branchId);
      if (this.preparedBranches.has(branchId) && !this.rolledBackBranches.has(branchId) && !this.isUndone(message)) {
        this.violate(`${message.participant} votes no for ${branchId}, which is prepared`);
      }
    }
    if (vote === 'yes' && !this.preparedBranches.has(branchId) && !this.committedBranches.has(branchId)) {
      this.violate(`${message.participant} votes yes for ${branchId}, which is not prepared`);
    }
  }

  /** A service has done the work of a branch itself, and has only read. */
  enlisted(branchId: string): void {
    this.readOnlyVotes.add(branchId);
  }

  /** In three phases a vote is the acceptor's. */
  private checkVoteOnRecord({ transactionId, branchId, participant, vote }: VoteMessage): void {
    const known = this.transactions.get(transactionId);
    if (known?.protocol !== '3pc' || known.delegated.size > 0 || vote === 'no') return;
    const recorded = this.ballots.voteOf(branchId);
    if (recorded !== vote) this.violate(`${participant} votes ${vote} for ${branchId}, on record is ${recorded}`);
  }

  /** What a participant has been handed. */
  received(message: ProtocolMessage): void {
    this.said.received(message);
    if (message.type !== 'decision' || this.decisionsHeard.has(message.branchId)) return;
    this.decisionsHeard.set(message.branchId, this.trace.time);
  }

  // --- databases

  prepared({ database, transactionId, branchId }: Parameters<DatabaseObserver['prepared']>[0]): void {
    this.trace.event(`${database.name} prepared ${transactionId}/${branchId}`);
    this.preparedBranches.add(branchId);
    if (this.refusals.has(branchId)) this.violate(`${database.name} prepares ${branchId}, which voted no`);
    if (database.ledger.has(branchId)) this.violate(`${database.name} prepares ${branchId}, which is in its ledger`);
  }

  acceptorSaved(database: ModelledDatabase, branchId: string, row: AcceptorRow): void {
    this.trace.event(`${database.name} saves the acceptor ${branchId} ${canonicalJson({ ...row, results: [] })}`);
    this.ballots.saved(branchId, row);
  }

  committed({ database, gid, branchId, transactionId, movements }: Parameters<DatabaseObserver['committed']>[0]): void {
    if (branchId === undefined || transactionId === undefined) return; // a reader
    const row = database.ledger.get(branchId);
    this.trace.event(`${database.name} committed ${transactionId}/${branchId} ${row?.outcome} ${gid ?? ''}`);
    if (row?.isDecided) this.ballots.toldToAbort(transactionId);
    if (row?.outcome !== 'committed') return;
    const known = this.transactions.get(transactionId);
    const operations = known?.branches.get(branchId)?.operations ?? [];
    this.said.committed(database.name, branchId, operations, row.results);
    const decision = known?.decision ?? this.ballots.chosen(transactionId);
    const ordered = decision === 'commit' || this.exemptions.hasBranch(branchId);
    if (gid !== undefined && !ordered && !known?.delegated.has(branchId)) {
      this.violate(`AC1: ${database.name} commits ${branchId} of ${transactionId}, decision ${decision}`);
    }
    if (gid === undefined && !known?.delegated.has(branchId)) {
      this.violate(`${database.name} commits ${branchId} in one phase, which was not delegated to it`);
    }
    if (this.committedBranches.has(branchId)) this.violate(`${database.name} commits ${branchId} twice`);
    this.committedBranches.add(branchId);
    const waitedMs = this.trace.time - (this.decisionsHeard.get(branchId) ?? this.trace.time);
    if (this.calm && gid !== undefined && waitedMs > PHASE_TWO_CALM_MS)
      this.violate(`phase two of ${branchId} waits ${waitedMs} ms in ${database.name}, as work waits for locks`);
    this.effects.push({ database, transactionId, branchId, movements });
  }

  rolledBack({ database, transactionId, branchId }: Parameters<DatabaseObserver['rolledBack']>[0]): void {
    this.trace.event(`${database.name} rolled back ${transactionId}/${branchId}`);
    if (this.ballots.voteOf(branchId) === 'read-only') return; // of a second run, which nobody has voted on
    this.rolledBackBranches.add(branchId);
    const decision = this.transactions.get(transactionId)?.decision ?? this.ballots.chosen(transactionId);
    if (decision === 'commit' && !this.exemptions.hasBranch(branchId))
      this.violate(`AC1: ${database.name} rolls back ${branchId} of committed ${transactionId}`);
  }

  /**
   * The last writes of a database are gone. What it had of these branches is not held against it: it may miss a part of
   * what is committed. Everything is still held against all others, and what was accepted stays accepted.
   */
  lost(database: ModelledDatabase, writes: readonly LostWrite[]): void {
    this.trace.event(`${database.name} fails over and loses ${writes.length} writes`);
    this.exemptions.databaseChanges++;
    for (const { kind, transactionId, branchId } of writes) {
      this.exemptions.loses(transactionId, branchId);
      this.refusals.delete(branchId);
      this.rolledBackBranches.delete(branchId);
      if (kind === 'acceptor') this.ballots.lost(branchId, database.acceptors.get(branchId));
      if (kind === 'prepared') this.preparedBranches.delete(branchId);
      if (kind === 'acceptor' || database.ledger.get(branchId)?.outcome === 'committed') continue;
      this.committedBranches.delete(branchId);
      this.effects = this.effects.filter((effect) => effect.branchId !== branchId);
    }
  }

  /** Branches that had ended are prepared again, and none of what their end brought is there any more. */
  restored(database: ModelledDatabase, branchIds: readonly string[]): void {
    this.trace.event(`${database.name} has prepared again ${branchIds.join(', ')}`);
    for (const branchId of branchIds) {
      this.committedBranches.delete(branchId);
      this.rolledBackBranches.delete(branchId);
      this.broughtBack.add(branchId);
    }
    this.effects = this.effects.filter(({ branchId }) => !branchIds.includes(branchId));
  }

  /** A transaction of long ago, which nobody but the checker remembers. */
  remembers({ transactionId, branchId, participant, decision, movement }: AncientTransaction): void {
    const { intent, account, amount } = movement;
    const payload = { account, amount, intent, careless: false };
    const operations = [{ operation: 'credit', payload, keys: [] }];
    const known = this.known(transactionId);
    known.branches.set(branchId, { participant, operations });
    known.decision = decision;
    this.ancient.push({ transactionId, branchId, participant, decision, movement });
  }

  // --- the log

  private learn(index: number, record: LogRecord, result: ApplyResult): void {
    if (!this.isDurable(index)) this.violate(`entry ${index} is applied and not on a majority of disks`);
    if (isLockRecord(record)) return this.locks.learn(index, record, result);
    if (record.type === 'begin' && result.refusal === undefined)
      this.learnKey(record.idempotency?.key, record.transactionId);
    for (const state of result.transactions) {
      const known = this.known(state.transactionId);
      known.protocol = state.protocol;
      this.ballots.preCommitted(state);
      known.intent = state.metadata['intent'];
      for (const { branchId, participant, operations, end } of state.branches)
        known.branches.set(branchId, { participant, operations: [...operations], ...(end && { end }) });
      if (state.delegatedTo !== undefined) known.delegated.add(state.delegatedTo);
      if (known.decision && state.decision !== known.decision) {
        this.violate(`AC2: the decision on ${state.transactionId} changes from ${known.decision} to ${state.decision}`);
      }
      this.exemptions.learn(record, state);
      if (state.decision && !known.decision) {
        known.decision = state.decision;
        this.decided(known, record);
        this.said.decided(record, state);
        if (record.type === 'resolve') this.ruled(record, state);
      }
      const mixed = state.outcome === 'mixed' && this.exemptions.hasTransaction(state.transactionId);
      if (known.outcome && state.outcome !== known.outcome && !mixed)
        this.violate(`the outcome of ${state.transactionId} changes`);
      if (state.outcome) known.outcome = state.outcome;
      if (state.outcome === 'mixed' && !mixed) this.violate(`AC1: ${state.transactionId} is mixed`);
      if (state.endedAt !== undefined && known.endedIndex === undefined) {
        known.endedIndex = index;
        this.retention.ended(state.transactionId);
        this.said.ended(state);
      }
    }
  }

  private decided(known: KnownTransaction, record: LogRecord): void {
    const { transactionId, decision, branches, delegated } = known;
    if (record.type !== 'decide' && record.type !== 'resolve')
      return this.violate(`${transactionId} is decided by a ${record.type} record`);
    if (known.protocol === '3pc' && decision && delegated.size === 0)
      this.ballots.logs(transactionId, decision, record.type === 'decide' ? record.basis?.type : undefined);
    const byBranches = record.type === 'decide' && record.cause?.reason === 'BRANCHES_DECIDED';
    if (this.calm && byBranches && !this.said.hasHung(branches.keys()))
      this.violate(`AC4: nothing has failed, and the branches of ${transactionId} decided to abort`);
    for (const [branchId, { participant }] of branches) {
      if (this.exemptions.hasBranch(branchId)) continue;
      if (decision === 'abort') {
        if (this.committedBranches.has(branchId))
          this.violate(`AC1: ${transactionId} aborts after ${branchId} committed`);
        continue;
      }
      const backed = this.preparedBranches.has(branchId) || this.committedBranches.has(branchId);
      if (delegated.size === 0 && !backed && !this.readOnlyVotes.has(branchId)) {
        this.violate(`AC3: ${transactionId} commits, and ${participant} has not prepared ${branchId}`);
      }
      if (this.rolledBackBranches.has(branchId))
        this.violate(`AC1: ${transactionId} commits after ${branchId} rolled back`);
      // A reader that is run again may refuse, past the deadline; what it voted before holds nothing to break.
      if (this.refusals.has(branchId) && !this.readOnlyVotes.has(branchId))
        this.violate(`AC3: ${transactionId} commits, and ${participant} had refused`);
      if (this.presumedAborted.get(transactionId)?.has(branchId)) {
        this.violate(`AC1: ${transactionId} commits after ${participant} was told to presume the abort`);
      }
    }
  }

  /** A branch to which the decision was left is given up late, by force, and never for an outcome that somebody knows. */
  private ruled(
    { action, force, at }: ResolveRecord,
    { transactionId, delegatedTo, deadline, outcome }: TransactionState,
  ) {
    if (action !== 'forget' && delegatedTo === undefined) return;
    if (action !== 'forget')
      return this.violate(`an operator rules to ${action} ${transactionId}, which was delegated`);
    if (!force || at < deadline) this.violate(`${transactionId} is given up while its branch may still answer`);
    if (outcome !== 'mixed') this.violate(`AC1: ${transactionId} is given up, and said to be ${outcome}`);
  }

  private learnKey(key: string | undefined, transactionId: string): void {
    if (key === undefined) return;
    if (this.keyOwners.has(key))
      this.violate(`C2: the key ${key} began ${this.keyOwners.get(key)} and ${transactionId}`);
    this.keyOwners.set(key, transactionId);
  }

  private decisionPublished(nodeId: number, message: Extract<CoordinatorMessage, { type: 'decision' }>): void {
    const { transactionId, branchId, decision } = message;
    const known = this.transactions.get(transactionId);
    if (known?.branches.has(branchId) && known.decision !== undefined) {
      if (known.decision !== decision)
        this.violate(`node ${nodeId} tells ${decision} of ${transactionId}, the log says ${known.decision}`);
      return;
    }
    if (decision === 'commit') return this.violate(`node ${nodeId} tells to commit ${branchId} before the log does`);
    if (known?.branches.has(branchId)) {
      return this.violate(`node ${nodeId} tells to abort ${branchId} of ${transactionId} before the log does`);
    }
    const presumed = this.presumedAborted.get(transactionId) ?? new Set();
    this.presumedAborted.set(transactionId, presumed.add(branchId));
  }

  /** Aborted, and brought back by a restore of which the process that says no has not heard yet: it breaks nothing. */
  private isUndone({ transactionId, branchId }: { transactionId: string; branchId: string }): boolean {
    const isAborted =
      this.transactions.get(transactionId)?.decision === 'abort' ||
      this.presumedAborted.get(transactionId)?.has(branchId); // a commit after that is a violation of its own
    return this.broughtBack.has(branchId) && isAborted === true;
  }

  private known(transactionId: string): KnownTransaction {
    let known = this.transactions.get(transactionId);
    if (!known) {
      known = { transactionId, branches: new Map(), delegated: new Set() };
      this.transactions.set(transactionId, known);
    }
    return known;
  }
}
