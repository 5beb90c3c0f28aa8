import { invariant, UuidV7Generator, type Failpoints, type Logger } from '@concordat/foundation';
import {
  findBranch,
  type AbortCause,
  type ReplyMessage,
  type ResolveRecord,
  type RulingAction,
  type TransactionId,
  type TransactionState,
} from '@concordat/commit-protocol';
import { UnsendableReport, withFailpoints } from '@concordat/messaging';
import { isVisible, type Access } from './access.js';
import type { AppliedRecord, Leadership } from '../decision-log/decision-log.js';
import { LogUnavailableError, OutcomeUnknownError } from './errors.js';
import { EventHistory } from './queries/event-history.js';
import { logWithFailpoints } from '../failpoints/failpoint-log.js';
import type { Figures } from './figures.js';
import { GroupBirth } from './clocks/group-birth.js';
import { SINGLE_VOTER, type GroupClocks } from './clocks/group-clocks.js';
import { countHazards } from './queries/in-doubt.js';
import { LeaderSession, type SessionDependencies } from './leadership/leader-session.js';
import { LogClock } from './clocks/log-clock.js';
import { logged, OncePerKey } from './requests/once-per-key.js';
import { BeginRequests } from './requests/begin-requests.js';
import { RequestRecords } from './requests/request-records.js';
import { branchConflict, claimedBranch, refuseClosed, repeatedBranch } from './requests/request-refusals.js';
import { ReservedIds } from './leadership/reserved-ids.js';
import { Retention } from './leadership/retention.js';
import { appliedRulingView, claimedRuling, draftRuling, refusalError } from './requests/ruling-requests.js';
import { TimeKeeper } from './clocks/time-keeper.js';
import { TransactionQueries } from './queries/transaction-queries.js';
import type {
  BeginRequest,
  BegunView,
  BranchView,
  CommitOptions,
  Consistency,
  EndOptions,
  EnlistRequest,
  EventFilter,
  ExecuteRequest,
  Idempotency,
  InDoubtQuery,
  InDoubtReading,
  ListQuery,
  MissedEvents,
  Reading,
  Resolution,
  ResolveRequest,
  Settlement,
  TransactionEvent,
  TransactionPage,
  TransactionsApi,
  TransactionView,
  WaitOptions,
} from './transactions.api.js';
import { UnknownOldBranches } from './leadership/unknown-old-branches.js';
import { branchView } from './queries/view.js';
import { Waiters } from './requests/waiters.js';

/** Time beyond its own wait that a request may need to be logged, in milliseconds. */
const LOGGING_GRACE_MS = 5_000;
const ABORTED_BY_CLIENT: AbortCause = { reason: 'CLIENT_ABORTED', detail: 'the client aborted the transaction' };

export interface ManagerDependencies extends Omit<
  SessionDependencies,
  'awaitsEnd' | 'onAlert' | 'onEveryEnd' | 'onUnsent' | 'unknownOld'
> {
  readonly failpoints: Failpoints;
  /** the clocks of the other nodes; without them the node is the only voter */
  readonly groupClocks?: GroupClocks;
  /** called once for each transaction that is decided while this node leads */
  readonly onDecided?: (transaction: TransactionState) => void;
}

/**
 * The transactions of this node: answers requests, and drives every open transaction while the node leads.
 *
 * It owns what outlives a leadership: waiting clients, subscribers, the history of events. Everything else is in the
 * `LeaderSession`. Every answer is read from the applied log, so it stays true.
 *
 * States: following ⇄ leading (a session per leadership) → stopped.
 */
export class TransactionManager implements TransactionsApi {
  private session: LeaderSession | undefined;
  private readonly waiters: Waiters;
  private readonly history: EventHistory;
  private readonly listeners = new Set<(event: TransactionEvent) => void>();
  private readonly resetListeners = new Set<(throughIndex: number) => void>();
  private readonly queries: TransactionQueries;
  private readonly ids: UuidV7Generator;
  private readonly records: RequestRecords;
  private readonly begins: BeginRequests;
  private readonly oncePerKey: OncePerKey;
  private readonly unknownOld: UnknownOldBranches;
  private readonly retention: Retention;
  private readonly unsendable: UnsendableReport;
  private readonly birth: GroupBirth;
  private readonly timeKeeper: TimeKeeper;
  private readonly clock: LogClock;
  private readonly logger: Logger;
  private readonly detach: (() => void)[] = [];
  private alerts = 0;
  private readonly rulings: Record<RulingAction, number> = { commit: 0, abort: 0, forget: 0 };
  private stopped = false;

  private readonly dependencies: ManagerDependencies;

  constructor(dependencies: ManagerDependencies, appliedIndex = 0) {
    const { random, options, logger, failpoints, groupClocks = SINGLE_VOTER } = dependencies;
    const clock = new LogClock(dependencies.clock, dependencies.log.state, groupClocks);
    const log = logWithFailpoints(dependencies.log, failpoints, logger);
    const bus = withFailpoints(dependencies.bus, { process: 'coordinator', failpoints, logger });
    this.dependencies = { ...dependencies, clock, log, bus };
    this.clock = clock;
    this.logger = logger;
    this.unsendable = new UnsendableReport(clock, (sentence) => this.alert(sentence));
    this.waiters = new Waiters(clock, () => log.applyPromptly());
    this.history = new EventHistory(options.eventHistorySize, appliedIndex);
    this.ids = new UuidV7Generator(() => clock.now(), random);
    const { ids } = this;
    this.records = new RequestRecords({ log, clock, ids, options, canAddress: () => bus.instances !== undefined });
    this.oncePerKey = new OncePerKey(log.state, () => this.leading());
    this.unknownOld = new UnknownOldBranches(() => clock.now());
    const { history, unknownOld } = this;
    this.queries = new TransactionQueries({ log, clock, options, history, unknownOld, session: () => this.session });
    this.begins = new BeginRequests({ records: this.records, queries: this.queries, waiters: this.waiters, options });
    this.retention = new Retention(clock, log, options, () => this.session?.logPublished());
    this.birth = new GroupBirth(clock, log, logger);
    this.timeKeeper = new TimeKeeper({
      clock,
      state: log.state,
      logger,
      advanceLogTime: () => this.session?.advanceLogTime(),
      onAlert: (detail) => this.alert(detail),
    });
    this.detach.push(
      log.onApplied((applied) => this.onApplied(applied)),
      log.onLeadership((leadership, replacedThrough) => this.onLeadership(leadership, replacedThrough)),
    );
    this.onLeadership(log.leadership());
  }

  /**
   * Figures for metrics. `alerts` and `rulings` (of this node's leaderships) only grow. Only a leader knows what is in
   * doubt and what waits for keys.
   */
  figures(): Figures {
    const { state } = this.dependencies.log;
    const { session, queries } = this;
    return {
      hazards: countHazards(state.hazardousTransactions()),
      unknownOld: this.session ? this.unknownOld.size : 0,
      rulings: { ...this.rulings },
      clocks: this.clock.comparison(),
      open: state.openCount,
      // scans all open transactions, so only on demand
      get inDoubt(): number {
        return session ? queries.countInDoubt() : 0;
      },
      waitingForKeys: this.session?.waitingForKeys ?? 0,
      alerts: this.alerts,
      unsendable: this.unsendable.count,
      ended: state.unpublishedCount + state.archive.size,
    };
  }

  /** A message from a participant; ignored on a node that does not lead. */
  onReply(message: ReplyMessage): void {
    this.session?.onReply(message);
  }

  /** Ends the leadership and every waiting request. The next leader recovers open transactions. */
  stop(): void {
    this.stopped = true;
    for (const detach of this.detach) detach();
    this.endSession();
    this.waiters.failAll(
      new OutcomeUnknownError('the coordinator is stopping; ask another node, or repeat the request with the same key'),
    );
  }

  begin(request: BeginRequest, access?: Access): Promise<BegunView> {
    const { id } = request;
    return this.oncePerKey.run<BegunView>(request.idempotency, {
      repeat: (transaction) => this.queries.view(transaction),
      first: async (session) => {
        if (id !== undefined && !this.isReserved(id)) return this.queries.view(await this.require(id, access));
        return this.begins.open(session, request);
      },
    });
  }

  execute(request: ExecuteRequest, options: WaitOptions): Promise<Settlement> {
    return this.oncePerKey.run(request.idempotency, {
      repeat: ({ transactionId }) => this.settle(transactionId, options),
      first: (session) => {
        for (const branch of request.branches) this.records.refuseUnknown(branch);
        this.begins.refuseOverload(session);
        const record = this.records.execute(request);
        const settlement = this.settle(record.transactionId, options);
        logged(session.begin(record)).catch((error: Error) => this.waiters.fail(record.transactionId, error));
        return settlement;
      },
    });
  }

  enlist(
    transactionId: TransactionId,
    branch: EnlistRequest,
    idempotency?: Idempotency,
    access?: Access,
  ): Promise<{ created: boolean; branch: BranchView }> {
    return this.oncePerKey.run(idempotency, {
      repeat: (transaction) => ({ created: false, branch: claimedBranch(transaction, idempotency!) }),
      first: async (session) => {
        this.records.refuseUnusable(branch);
        await this.require(transactionId, access);
        return session.inOrder(transactionId, () => this.enlistNow(session, transactionId, branch, idempotency));
      },
    });
  }

  async commit(transactionId: TransactionId, { branches = [], begin, ...options }: CommitOptions): Promise<Settlement> {
    const leading = this.leading();
    for (const branch of branches) this.records.refuseUnusable(branch);
    if (begin && this.isReserved(transactionId)) {
      this.begins.complete(leading, transactionId, begin, branches);
      return this.settle(transactionId, options);
    }
    const transaction = await this.require(transactionId, options.access);
    if (transaction.decision && branches.length === 0) return this.settle(transactionId, options);
    await this.leading().inOrder(transactionId, async () => {
      const known = await this.require(transactionId, options.access); // a deferred begin may have been in vain
      const session = this.leading(); // read again: the leadership may have ended in between
      const enlistments = this.records.enlistAll(known, branches);
      if (enlistments.length > 0) refuseClosed(known);
      const joining = enlistments.map(({ branch }) => branch);
      await session.end(transactionId, enlistments, { type: 'commit', joining });
    });
    return this.settle(transactionId, options);
  }

  async abort(
    transactionId: TransactionId,
    { branches = [], ...options }: EndOptions,
    cause = ABORTED_BY_CLIENT,
  ): Promise<Settlement> {
    this.leading().reserved.withdraw(transactionId); // a commit that is late must not begin what was told to be aborted
    for (const branch of branches) this.records.refuseUnusable(branch);
    const transaction = await this.require(transactionId, options.access);
    // Without them the abort is right, too: who holds a branch that it does not name enlists it, and is refused.
    const enlistments = transaction.closed ? [] : this.records.enlistAll(transaction, branches);
    await this.leading().end(transactionId, enlistments, { type: 'abort', cause });
    return this.settle(transactionId, options);
  }

  async resolve(transactionId: TransactionId, request: ResolveRequest): Promise<Resolution> {
    this.leading().reserved.withdraw(transactionId); // a commit that is late must not begin what was told to be aborted
    await this.dependencies.log.confirmLeadership();
    return this.oncePerKey.run(request.idempotency, {
      repeat: (earlier) => ({ ruling: claimedRuling(earlier, request), transaction: this.queries.view(earlier) }),
      first: (session) => this.resolveNow(session, transactionId, request),
    });
  }

  get(transactionId: TransactionId, consistency: Consistency, access?: Access): Promise<Reading<TransactionView>> {
    return this.queries.get(transactionId, consistency, access);
  }

  list(query: ListQuery, consistency: Consistency): Promise<Reading<TransactionPage>> {
    return this.queries.list(query, consistency);
  }

  inDoubt(consistency: Consistency, query?: InDoubtQuery): Promise<InDoubtReading> {
    return this.queries.inDoubt(consistency, query);
  }

  subscribe(listener: (event: TransactionEvent) => void): () => void {
    this.listeners.add(listener);
    const endPrompt = this.dependencies.log.applyPromptly();
    return () => {
      this.listeners.delete(listener);
      endPrompt();
    };
  }

  onReset(listener: (throughIndex: number) => void): () => void {
    this.resetListeners.add(listener);
    return () => this.resetListeners.delete(listener);
  }

  missedSince(logIndex: number, wants?: EventFilter): MissedEvents {
    return this.queries.missedSince(logIndex, wants);
  }

  private onApplied(applied: AppliedRecord): void {
    this.clock.onApplied();
    const changed = applied.result.refusal === undefined ? applied.result.transactions : [];
    const { record } = applied;
    if (record.type === 'resolve' && applied.result.refusal === undefined) this.onRuling(record, changed[0]);
    if (record.type === 'decide' && this.session) changed.forEach((one) => this.dependencies.onDecided?.(one));
    for (const transaction of changed) this.history.record(applied.index, transaction.transactionId);
    this.session?.onApplied(applied);
    if (record.type === 'group-born') this.startSession();
    for (const transaction of changed) {
      this.waiters.changed(transaction);
      if (this.listeners.size === 0) continue;
      const event: TransactionEvent = { logIndex: applied.index, transaction: this.queries.view(transaction) };
      for (const listener of this.listeners) listener(event);
    }
  }

  private onRuling(record: ResolveRecord, transaction: TransactionState | undefined): void {
    const { action, operator, reason, force, transactionId, branchId } = record;
    if (branchId !== undefined) this.unknownOld.remove(transactionId, branchId);
    if (!this.session) return;
    this.rulings[action]++;
    const { effect } = appliedRulingView(record, transaction);
    const what = branchId === undefined ? `transaction ${transactionId}` : `branch ${branchId} of ${transactionId}`;
    this.logger.warn(
      `RULING ${operator} rules to ${action} ${what}${force ? ', by force' : ''} (${effect}): ${reason}`,
    );
    if (transaction && effect === 'decided') this.dependencies.onDecided?.(transaction);
  }

  private onLeadership({ epoch }: Leadership, replacedThrough?: number): void {
    this.endSession();
    if (replacedThrough !== undefined) this.onReplaced(replacedThrough);
    if (!epoch || this.stopped) return;
    if (this.dependencies.log.state.bornAt === undefined) this.birth.start();
    else this.startSession();
  }

  /** From then on the leader acts. Before the birth of the group is logged it does nothing and presumes nothing. */
  private startSession(): void {
    const { epoch } = this.dependencies.log.leadership();
    if (!epoch || this.session || this.stopped) return;
    invariant(
      this.dependencies.log.state.bornAt !== undefined,
      'a leader acts only after the birth of the group is logged',
    );
    this.birth.stop();
    this.logger.info(`leading in term ${epoch.term}; ${this.dependencies.log.state.openCount} open transactions`);
    this.session = new LeaderSession(
      {
        ...this.dependencies,
        unknownOld: this.unknownOld,
        awaitsEnd: (transactionId) => this.waiters.awaitsEnd(transactionId),
        onEveryEnd: (transaction) => this.waiters.reported(transaction),
        onAlert: (detail) => this.alert(detail),
        onUnsent: (error) => this.unsendable.take(error),
      },
      epoch,
      new ReservedIds(this.clock, this.ids),
    );
    this.session.recover();
    this.retention.start();
    this.timeKeeper.start();
  }

  private alert(detail: string): void {
    this.alerts++;
    this.logger.error(`ALERT ${detail}`);
  }

  /** A snapshot replaced the state: its changes were not applied one by one. */
  private onReplaced(throughIndex: number): void {
    this.history.restart(throughIndex);
    for (const transactionId of this.waiters.awaited()) {
      const transaction = this.dependencies.log.state.find(transactionId);
      if (transaction) this.waiters.changed(transaction);
    }
    for (const listener of this.resetListeners) listener(throughIndex);
  }

  private endSession(): void {
    this.birth.stop();
    this.retention.stop();
    this.timeKeeper.stop();
    this.session?.close();
    this.session = undefined;
  }

  private leading(): LeaderSession {
    if (this.session) return this.session;
    const birthIsPending = this.dependencies.log.leadership().epoch && this.dependencies.log.state.bornAt === undefined;
    throw new LogUnavailableError(
      'no-leader',
      birthIsPending
        ? 'the group is new, and its birth is not in the log yet; ask again'
        : 'this node does not lead the cluster',
    );
  }

  /** Returns the transaction. Only a confirmed leader can say that there is none, or none that the caller may see. */
  private async require(transactionId: TransactionId, access?: Access): Promise<TransactionState> {
    const known = this.lookUp(transactionId);
    if (known && isVisible(known, access)) return known;
    await this.dependencies.log.confirmLeadership();
    const found = this.lookUp(transactionId);
    if (!found || !isVisible(found, access)) throw this.queries.missing(transactionId);
    return found;
  }

  /** Handed out under this leadership, and not used. */
  private isReserved(transactionId: TransactionId): boolean {
    return this.session?.reserved.has(transactionId) === true;
  }

  private lookUp(transactionId: TransactionId): TransactionState | undefined {
    return this.session?.machineOf(transactionId)?.transaction ?? this.dependencies.log.state.find(transactionId);
  }

  /**
   * Waits for what was requested. After the timeout, a transaction whose branches are closed in the log is answered as
   * it stands, because its end is certain; any other gets `OUTCOME_UNKNOWN`.
   */
  private async settle(transactionId: TransactionId, { wait, waitMs }: WaitOptions): Promise<Settlement> {
    const { state } = this.dependencies.log;
    const satisfied = (transaction: TransactionState | undefined): boolean => {
      if (transaction === undefined) return false;
      const isReported = wait === 'reported' && this.session?.machineOf(transactionId)?.hasEveryEnd === true;
      return isReported || (wait === 'decided' ? transaction.decision : transaction.endedAt) !== undefined;
    };
    const present = state.find(transactionId);
    if (present && satisfied(present)) return { settled: true, transaction: this.queries.view(present) };
    const reached = await this.waiters.wait(transactionId, wait, waitMs);
    if (reached) return { settled: true, transaction: this.queries.view(reached) };
    const pending = state.find(transactionId);
    if (pending?.closed) return { settled: satisfied(pending), transaction: this.queries.view(pending) };
    const logged = await this.waiters.wait(transactionId, 'closed', LOGGING_GRACE_MS);
    const latest = logged ?? state.find(transactionId);
    if (latest?.closed) return { settled: satisfied(latest), transaction: this.queries.view(latest) };
    throw new OutcomeUnknownError('the request could not be logged in time; it may have taken effect');
  }

  /** Call it after the leadership is confirmed. */
  private async resolveNow(
    session: LeaderSession,
    transactionId: TransactionId,
    request: ResolveRequest,
  ): Promise<Resolution> {
    const { log, clock } = this.dependencies;
    const sources = { log, session, unknownOld: this.unknownOld, now: clock.now() };
    const draft = draftRuling(transactionId, request, sources);
    const result = 'record' in draft ? await logged(session.record(draft.record)) : undefined;
    const transaction = result ? result.transactions[0] : log.state.find(transactionId);
    const refusal = 'record' in draft ? result?.refusal : draft.refusal;
    if (refusal === 'UNKNOWN_TRANSACTION') throw this.queries.missing(transactionId);
    if (refusal !== undefined && refusal !== 'NOTHING_TO_DO') throw refusalError(refusal, request);
    const recorded = refusal === undefined && 'record' in draft;
    return {
      ruling: recorded ? appliedRulingView(draft.record, transaction) : null,
      transaction: transaction ? this.queries.view(transaction) : null,
    };
  }

  private async enlistNow(
    session: LeaderSession,
    transactionId: TransactionId,
    request: EnlistRequest,
    idempotency: Idempotency | undefined,
  ): Promise<{ created: boolean; branch: BranchView }> {
    const transaction = await this.require(transactionId);
    const repeated = 'branchId' in request ? repeatedBranch(transaction, request) : undefined;
    if (repeated) return { created: false, branch: repeated };
    refuseClosed(transaction);
    const record = this.records.enlist(transaction, request, idempotency);
    const { branchId } = record.branch;
    const result = await logged(session.record(record));
    const enlisted = result.transactions[0];
    switch (result.refusal) {
      case undefined:
        return { created: true, branch: branchView(enlisted!, findBranch(enlisted!, branchId)!) };
      case 'UNKNOWN_TRANSACTION':
        throw this.queries.missing(transactionId);
      case 'BRANCH_CONFLICT':
        throw branchConflict(branchId);
      default:
        refuseClosed(enlisted!);
        throw new OutcomeUnknownError(`the enlistment was refused: ${result.refusal}`);
    }
  }
}
