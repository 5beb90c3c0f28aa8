import { errorMessage, type Clock, type Logger } from '@concordat/foundation';
import type { QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { branchError, type BranchId, type TransactionId } from '@concordat/commit-protocol';
import {
  isWithin,
  savepointsOf,
  type PostgresContext,
  type SavepointOwner,
  type Savepoints,
} from '../postgres/index.js';
import { CallsUnderWay } from './calls-under-way.js';
import { GlobalTransactionAbortedError, RollbackOnlyError, type Doom } from './errors.js';
import { HookList } from './hooks.js';
import type { ExpectedMarker } from './derived-branch-id.js';
import { OwnEnlistment } from './own-enlistment.js';
import type { BranchSession, BranchSessions, GlobalCoordinators, HeldEnlistment } from './ports.js';

/** What PostgreSQL has against the data or the text of a statement, or against its conflict with others. */
const ORDINARY_REFUSAL = /^(22|23|40|42|P0)/;

export interface ProcessTransactionPorts {
  readonly coordinators: GlobalCoordinators;
  readonly sessions: BranchSessions;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly newBranchId: () => BranchId;
  /** false over Kafka alone: no instance can be asked to prepare, so work is prepared when its method ends */
  readonly isAddressable: boolean;
}

export interface TransactionIdentity {
  readonly transactionId: TransactionId;
  /** milliseconds since 1970, by the clock of the coordinators */
  readonly deadline: number;
}

/** The time until the deadline as this process knows it, so that a clock that is set does not change it. */
export interface TimedIdentity extends TransactionIdentity {
  /** the secret of the transaction: made by who began it, or brought by the call */
  readonly invitation?: string | undefined;
  /** milliseconds */
  readonly leftMs: number;
}

/** A method of the transaction, as its part in this process needs to know it. */
export interface RunningMethod extends SavepointOwner {
  /** other services have worked in it; no savepoint undoes that */
  readonly hasJoinedElsewhere: boolean;
  /** branches of this process that cannot end before this transaction has */
  suspendedBranches(): BranchId[];
}

interface OpenSession {
  readonly session: BranchSession;
  readonly savepoints: Savepoints;
}

const PART_IS_OPEN =
  'a transaction of a database library was still open when its method returned: an await is missing, or its client was ' +
  'given back without COMMIT or ROLLBACK';

/**
 * What one process does in one global transaction: one branch with one session, opened at the first statement, for all
 * methods that run here.
 *
 * Invariants: when one of its methods returns, the coordinators know the branch, or the client that requests the commit names it
 * to them; once doomed, the transaction never commits, because the session votes no.
 */
export class ProcessTransaction {
  readonly transactionId: TransactionId;
  readonly deadline: number;
  private shown: string | undefined;
  /** branches of other services that joined in calls from here */
  readonly branchesElsewhere = new Set<BranchId>();
  /** those of them that the coordinators may not know yet: the client that requests the commit names them */
  readonly unlisted = new Map<BranchId, HeldEnlistment>();
  /** of the methods that a call brought here and that succeeded; they run when the decision is known */
  readonly hooks = new HookList();
  /** the answers to messages that were handled here, by where they lie: a redelivery gets the same */
  readonly deliveries = new Map<string, Promise<unknown>>();
  /** branches that consumers of this transaction's messages have yet to enlist */
  readonly expected = new Map<BranchId, ExpectedMarker>();
  /** those that have no answer yet */
  readonly callsUnderWay = new CallsUnderWay();
  /** another process has heard of it, from here */
  isToldElsewhere = false;
  /** its caller begins it, maybe with the commit only */
  mayBeUnknown = false;
  private ensuring: Promise<void> | undefined;
  /** somebody waits for the end of its session */
  isWatched = false;
  private opening: Promise<OpenSession> | undefined;
  private own: OwnEnlistment | undefined;
  private branchId: BranchId | undefined;
  private firstDoom: Doom | undefined;
  private failedStatement: unknown;
  /** why the coordinators did not take the branch */
  private refusal: unknown;
  private activeCount = 0;
  private keptHere = false;
  private left = false;
  /** transactions of database libraries that have not ended */
  private readonly openParts = new Set<SavepointOwner>();
  private callCount = 0;
  private readonly endsAt: number;

  constructor(
    identity: TimedIdentity,
    readonly participant: string,
    private readonly ports: ProcessTransactionPorts,
    /** for a message that may be delivered again */
    private readonly derivedBranchId?: BranchId,
    /** the caller of the method, or the method itself, names its branch when it requests the commit */
    private readonly isNamed = false,
  ) {
    this.transactionId = identity.transactionId;
    this.deadline = identity.deadline;
    this.shown = identity.invitation;
    this.endsAt = ports.clock.monotonic() + identity.leftMs;
  }

  /** Until the deadline, in milliseconds; not below 0. */
  get leftMs(): number {
    return Math.max(0, this.endsAt - this.ports.clock.monotonic());
  }

  /** What to show to the coordinators, and to hand on; undefined: nobody has brought one. */
  get invitation(): string | undefined {
    return this.shown;
  }

  /** A further call has come. */
  isCalledAgain({ invitation }: TimedIdentity): void {
    this.shown ??= invitation;
  }

  /** The branch of this process; undefined before the first statement. */
  get ownBranch(): BranchId | undefined {
    return this.branchId;
  }

  /** For the log: with its branch here, once there is one. */
  get name(): string {
    const whole = `transaction ${this.transactionId}`;
    return this.branchId === undefined ? whole : `branch ${this.branchId} of ${whole}`;
  }

  get doomed(): Doom | undefined {
    return this.firstDoom;
  }

  /** Methods that are running. */
  get isActive(): boolean {
    return this.activeCount > 0;
  }

  /** Calls from here in which other services joined. */
  get joinedElsewhereCount(): number {
    return this.callCount;
  }

  noteJoinedElsewhere(): void {
    this.callCount++;
  }

  beginPart(part: SavepointOwner): void {
    this.openParts.add(part);
  }

  endPart(part: SavepointOwner): void {
    this.openParts.delete(part);
  }

  begin(): void {
    this.activeCount++;
  }

  ended(): void {
    this.activeCount--;
    this.endRefused();
  }

  /** A method that a call brought here has succeeded: its work is in the session, or was prepared. */
  noteKept(): void {
    this.keptHere = true;
  }

  get hasKept(): boolean {
    return this.keptHere;
  }

  /** It ended without its branch, because none of its methods has left any work. */
  get isLeft(): boolean {
    return this.left;
  }

  /** Whether no coordinator knows the branch; then it will never be enlisted, and its session may end. */
  leaveUnenlisted(): boolean {
    if (this.opening === undefined || this.own?.isUnderWay === true) return false;
    this.own?.over();
    this.left = true;
    return true;
  }

  /** The first reason counts. */
  doom(doom: Doom): void {
    if (this.firstDoom) return;
    this.firstDoom = doom;
    this.ports.logger.debug(`${this.name} can only abort: ${doom.by}: ${doom.message}`);
    this.opening?.then(
      ({ session }) => session.doom(branchError(doom.code, doom.message)),
      () => undefined,
    );
  }

  /** @throws RollbackOnlyError when it is doomed */
  refuseDoomed(): void {
    if (this.firstDoom) throw new RollbackOnlyError(this.transactionId, this.firstDoom);
  }

  /** The session, behind the savepoint of the scope. @throws what the opening failed with */
  async enter(scope: RunningMethod): Promise<PostgresContext> {
    this.opening ??= this.open(scope);
    const { session, savepoints } = await this.opening;
    savepoints.enter(scope);
    return session.context;
  }

  /** A statement behind the savepoint of the scope; both are sent in one turn. @throws what the opening failed with */
  async query<Row extends QueryResultRow>(
    scope: RunningMethod,
    text: string | QueryConfig,
    values: readonly unknown[] | undefined,
  ): Promise<QueryResult<Row>> {
    this.opening ??= this.open(scope);
    const { session, savepoints } = await this.opening;
    savepoints.enter(scope);
    return this.watch(session.context.client.query<Row>(text, values));
  }

  /** Remembers whether the database will take further statements. Settles as `answer` does. */
  private async watch<T>(answer: Promise<T>): Promise<T> {
    try {
      const result = await answer;
      this.failedStatement = undefined;
      return result;
    } catch (error) {
      this.failedStatement = error;
      throw this.isCutOff(error) ? this.tooLate(error) : error;
    }
  }

  /** Whether a statement failed because the deadline ends its session, and not for what it says. */
  private isCutOff(error: unknown): boolean {
    return this.leftMs <= 0 && !ORDINARY_REFUSAL.test(codeOf(error));
  }

  private tooLate(cause?: unknown): GlobalTransactionAbortedError {
    const because = cause === undefined ? '' : ` (${errorMessage(cause)})`;
    const detail = `a statement ran at, or came after, the deadline${because}`;
    return new GlobalTransactionAbortedError(this.transactionId, { reason: 'DEADLINE_EXCEEDED', detail }, { cause });
  }

  /** The branches to name in a request to commit or abort: that of this process, and those of its callees. */
  named(): HeldEnlistment[] {
    return [...(this.own && this.branchId !== undefined ? [this.own.branch] : []), ...this.unlisted.values()];
  }

  /** Resolves when the coordinators know the transaction; undefined when they do. @throws when they do not take it */
  known(): Promise<void> | undefined {
    const { coordinators } = this.ports;
    const beginning = coordinators.known(this.transactionId);
    if (beginning || !this.mayBeUnknown) return beginning;
    return (this.ensuring ??= coordinators.ensure(this.transactionId, this.leftMs));
  }

  /** Resolves when the coordinators know all branches that this process knows of. @throws why they do not */
  async enlisted(): Promise<void> {
    const { coordinators } = this.ports;
    if (this.own || this.unlisted.size > 0) await this.known();
    const others = [...this.unlisted.values()].map(async (branch) => {
      await coordinators.enlist(this.transactionId, branch, this.shown);
      this.unlisted.delete(branch.branchId);
    });
    await Promise.all([this.own?.now(), ...others]);
  }

  /**
   * The method succeeded, and its work stays.
   *
   * @throws RollbackOnlyError when the database has refused a statement and the method returned all the same, or a
   *   transaction of a database library in it is still open
   */
  async keep(scope: RunningMethod): Promise<void> {
    const open = await this.settledSession();
    for (const part of this.openParts) {
      if (part === scope || !isWithin(part, scope) || !open?.savepoints.has(part)) continue;
      this.doom({ code: 'HANDLE_CLOSED', by: this.participant, message: PART_IS_OPEN });
      this.refuseDoomed();
    }
    const worked = open?.savepoints.has(scope) ?? false;
    if (this.failedStatement !== undefined && (worked || !scope.needsSavepoint)) {
      const cause = this.failedStatement;
      const message = `the database refused a statement (${errorMessage(cause)}) and the method returned all the same`;
      const doom: Doom = { code: 'STATEMENT_FAILED', by: this.participant, message, cause };
      if (!(await this.undo(scope))) this.doom(doom);
      throw new RollbackOnlyError(this.transactionId, doom);
    }
    open?.savepoints.keep(scope);
  }

  /** The method failed. Whether nothing of it is left, so that the transaction can go on. */
  async undo(scope: RunningMethod): Promise<boolean> {
    const open = await this.settledSession();
    if (scope.hasJoinedElsewhere || this.firstDoom || open?.session.doomed) return false;
    if (!open?.savepoints.has(scope)) return scope.needsSavepoint;
    try {
      const isUndone = await open.savepoints.undo(scope);
      if (isUndone) this.failedStatement = undefined;
      return isUndone;
    } catch (error) {
      this.ports.logger.warn(`a method of ${this.name} was not undone: ${errorMessage(error)}`);
      return false;
    }
  }

  /** Rolls the session back at once, so that its locks are free before the coordinators decide. */
  async rollBack(code: string, message: string): Promise<void> {
    const open = await this.settledSession();
    try {
      await open?.session.rollBack(branchError(code, message));
    } catch (error) {
      this.ports.logger.warn(`${this.name} ends with its session: ${errorMessage(error)}`);
    }
  }

  /** Prepares the branch and enlists it with its vote, where no instance can be addressed. @throws when it cannot */
  async prepareUnaddressable(): Promise<void> {
    if (this.ports.isAddressable) return;
    const open = await this.settledSession();
    if (!open) return;
    const { session } = open;
    const answer = await session.prepare();
    const refusal =
      answer === 'busy' ? branchError('BRANCH_BUSY', 'another process works on the branch') : answer.error;
    if (answer === 'busy' || answer.vote === 'no') {
      const { code, message } = refusal ?? branchError('BRANCH_ABORTED', 'the branch was aborted');
      this.doom({ code, by: this.participant, message });
      return this.refuseDoomed();
    }
    const { participant } = this;
    const branch = { participant, branchId: session.branchId, vote: answer.vote };
    await this.ports.coordinators.enlist(this.transactionId, branch, this.shown);
  }

  /** How the session ended; undefined when there was none. */
  async sessionEnd(): Promise<Awaited<BranchSession['ended']> | undefined> {
    const open = await this.settledSession();
    return open?.session.ended;
  }

  private async open(scope: RunningMethod): Promise<OpenSession> {
    if (this.leftMs <= 0) throw this.doomedBy(this.tooLate());
    const { coordinators, sessions, isAddressable, clock } = this.ports;
    const { transactionId, deadline, participant } = this;
    const branchId = this.derivedBranchId ?? this.ports.newBranchId();
    const timeoutMs = Math.max(1, Math.floor(this.leftMs));
    const holding = sessions.hold({
      transactionId,
      branchId,
      deadline,
      timeoutMs,
      isNew: this.derivedBranchId === undefined,
      suspends: scope.suspendedBranches(),
    });
    if (isAddressable) {
      this.own = new OwnEnlistment(
        { participant, branchId, instance: sessions.instance },
        {
          clock,
          enlist: (branch) => coordinators.enlist(transactionId, branch, this.shown),
          onRefused: (error) => this.notEnlisted(error),
        },
      );
      if (!this.isNamed) this.own.now().catch(() => undefined); // beside the opening; awaited before the method returns
    }
    let session: BranchSession;
    try {
      session = await holding;
    } catch (error) {
      this.own?.over();
      throw this.doomedBy(error);
    }
    this.branchId = branchId;
    void session.ended.then(() => this.own?.over());
    if (this.firstDoom) session.doom(branchError(this.firstDoom.code, this.firstDoom.message));
    return { session, savepoints: savepointsOf(session.context.client) };
  }

  /** No session can be had: its work is missing, also where the method goes on without. */
  private doomedBy(error: unknown): unknown {
    this.doom({ code: codeOf(error), by: this.participant, message: errorMessage(error), cause: error });
    return error;
  }

  /** The transaction is closed, decided or unknown, so nobody will ask for the vote of the branch. */
  private notEnlisted(cause: unknown): void {
    this.refusal = cause;
    this.doom({ code: 'NOT_ENLISTED', by: this.participant, message: errorMessage(cause), cause });
    this.endRefused();
  }

  /** Nobody will tell the session to end: it does so once no method works on it, which would not know why it fails. */
  private endRefused(): void {
    if (this.refusal === undefined || this.isActive) return;
    void this.rollBack('NOT_ENLISTED', errorMessage(this.refusal));
  }

  /** The session once its opening has settled; undefined when there is none. */
  private async settledSession(): Promise<OpenSession | undefined> {
    try {
      return await this.opening;
    } catch {
      return undefined; // the caller that opened the session has the error
    }
  }
}

export function codeOf(error: unknown, otherwise = 'SESSION_FAILED'): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : otherwise;
}
