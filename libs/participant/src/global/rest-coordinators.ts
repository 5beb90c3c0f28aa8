import {
  CallTimeoutError,
  ConcordatClient,
  ConcordatError,
  ConnectionError,
  OutcomeUnknownError,
  TransactionAbortedError,
  TransactionCommittedError,
  TransactionExpiredError,
  TransactionMixedError,
  TransactionNotFoundError,
  UnavailableError,
  type BegunTransaction,
  type Branch,
  type ClientOptions,
  type CommitOptions,
  type Settlement,
  type Transaction,
} from '@concordat/client';
import { sleep, type Clock } from '@concordat/foundation';
import type { BranchId, TransactionId } from '@concordat/commit-protocol';
import { INVITATION_HEADER } from './context-header.js';
import { GlobalTransactionMixedError, NotBegunError, type StrayBranch } from './errors.js';
import type { BeginRequest, BranchEnlistment, CommitAnswer, GlobalCoordinators, HeldEnlistment } from './ports.js';
import { ReservedTransactions, type PendingBegin } from './reserved-transactions.js';

/** A begin that takes longer is an error of the method; one that takes longer than its transaction may, too. */
const BEGIN_LIMIT_MS = 10_000;
const MINIMUM_BEGIN_LIMIT_MS = 1_000;
/** Then another coordinator is asked: all requests may be repeated, and locks are held meanwhile. */
const ATTEMPT_LIMIT_MS = 5_000;
/** A process that has just started is known when its announcement arrives. */
const ANNOUNCEMENT_ATTEMPTS = 20;
const ANNOUNCEMENT_PAUSE_MS = 100;
/** Then it is asked about: the decision may be near. */
const DECIDED_WAIT_MS = 30_000;
/** A participant that is dead must not hold up the caller, who has the decision by then. */
const ENDED_WAIT_MS = 3_000;
/** Coordinators of an earlier version are asked in its way for so long; then they may have been replaced. */
const EARLIER_VERSION_MS = 30_000;
/** What a coordinator answers to a request of a later version. */
const NOT_UNDERSTOOD: ReadonlySet<string> = new Set(['UNKNOWN_FIELD', 'INVALID_REQUEST']);
/** The request was refused, for the branches that it names, before it could have any effect. */
const NOT_TAKEN: ReadonlySet<string> = new Set([
  'FORBIDDEN',
  'BRANCH_CONFLICT',
  'NOT_ADDRESSABLE',
  'TOO_MANY_BRANCHES',
  'UNKNOWN_PARTICIPANT',
]);

const SILENCE = 'see whether they run, and have a leader ("npx concordat doctor")';

/** What another attempt may heal; a begin that is not used has no effect, also if it was carried out. */
function notBegun(error: unknown, timeoutMs: number): unknown {
  if (error instanceof CallTimeoutError) {
    return new NotBegunError(`no coordinator answered within ${Math.round(timeoutMs)} ms; ${SILENCE}`, {
      cause: error,
    });
  }
  const last = error instanceof OutcomeUnknownError && error.cause instanceof ConcordatError ? error.cause : error;
  const isTheirs = last instanceof ConnectionError || last instanceof UnavailableError;
  return isTheirs ? new NotBegunError(last.message, { cause: error }) : error;
}

/** The least that the coordinators take as the time until a deadline. */
const LEAST_TIMEOUT_MS = 100;

/**
 * The coordinators over their REST interface.
 *
 * With `mayReserve` a transaction in two phases without metadata usually begins without a request: its id was reserved
 * with an earlier begin, and the request to commit begins it.
 */
export class RestCoordinators implements GlobalCoordinators {
  private readonly client: ConcordatClient;
  private readonly reserved: ReservedTransactions;
  /** requests that begin transactions, by their ids; settled when the coordinators know the transaction, or do not */
  private readonly beginning = new Map<TransactionId, Promise<unknown>>();
  /** monotonic, in milliseconds: until then they are asked as an earlier version is */
  private earlierUntil = Number.NEGATIVE_INFINITY;

  constructor(
    options: ClientOptions,
    private readonly clock: Clock,
    /** whether a transaction may begin with its commit */
    private readonly mayReserve = false,
  ) {
    this.client = new ConcordatClient({ attemptTimeoutMs: ATTEMPT_LIMIT_MS, ...options });
    this.reserved = new ReservedTransactions(clock, (id) => void this.known(id)?.catch(() => undefined));
  }

  async begin(request: BeginRequest): Promise<{ transactionId: TransactionId; deadline: number }> {
    const { beginner, invitation, ...plain } = request;
    const options = { ...beginLimits(request.timeoutMs), ...showing(invitation) };
    const mayReserve = this.mayReserve && request.protocol === '2pc' && request.metadata === undefined;
    const reserved = mayReserve ? this.reserved.begin(request) : undefined;
    if (reserved) return reserved;
    const begin = (reserve: number): Promise<BegunTransaction> =>
      this.client.begin({ ...plain, beginner, deferred: true, ...(reserve > 0 && { reserve }) }, options);
    const { id, deadline } = await this.inVersion<Transaction>(
      () => (mayReserve ? this.reserved.reserve(begin) : begin(0)),
      () => this.client.begin(plain, options),
    ).catch((error: unknown) => {
      throw notBegun(error, options.timeoutMs);
    });
    return { transactionId: id, deadline: Date.parse(deadline) };
  }

  known(transactionId: TransactionId): Promise<void> | undefined {
    const pending = this.reserved.take(transactionId);
    if (pending) return this.beginNow(transactionId, pending);
    return this.beginning.get(transactionId)?.then(() => undefined);
  }

  async ensure(id: TransactionId, leftMs: number): Promise<void> {
    if (!this.mayReserve) return; // then it is begun: the option is the same in all services
    try {
      await this.client.begin({ id, timeoutMs: leastTimeout(leftMs), deferred: true }, beginLimits(leftMs));
    } catch (error) {
      // An earlier version reserves no ids, so it knows the transaction.
      if (!(error instanceof ConcordatError) || !NOT_UNDERSTOOD.has(error.code)) throw error;
    }
  }

  /** By a request of its own. */
  private async beginNow(id: TransactionId, { request, leftMs }: PendingBegin): Promise<void> {
    const { protocol, beginner, invitation } = request;
    const begin = { id, protocol, beginner, timeoutMs: leastTimeout(leftMs()), deferred: true };
    await this.beginningBy(id, () =>
      this.client.begin(begin, { ...beginLimits(begin.timeoutMs), ...showing(invitation) }),
    );
  }

  /** Whoever needs the transaction meanwhile waits. */
  private async beginningBy<T>(id: TransactionId, request: () => Promise<T>): Promise<T> {
    const asked = request();
    this.beginning.set(id, asked);
    try {
      return await asked;
    } catch (error) {
      if (!isOutcome(error)) this.reserved.forgetIds(); // no leader answers, or another one does
      throw error;
    } finally {
      this.beginning.delete(id);
    }
  }

  /** The requests that begin it have settled, whatever became of them. */
  private async settledBegin(transactionId: TransactionId): Promise<void> {
    await this.beginning.get(transactionId)?.catch(() => undefined); // then the coordinators do not know it, and say so
  }

  async enlist(transactionId: TransactionId, branch: BranchEnlistment, invitation?: string): Promise<void> {
    await this.known(transactionId);
    await this.untilAnnounced(() => this.client.enlist(transactionId, branch, showing(invitation)));
  }

  async commit(
    transactionId: TransactionId,
    wait: 'decided' | 'ended',
    branches: readonly HeldEnlistment[],
  ): Promise<CommitAnswer | 'unknown'> {
    try {
      const waitMs = wait === 'ended' ? ENDED_WAIT_MS : DECIDED_WAIT_MS;
      const options = { wait: wait === 'ended' ? 'reported' : wait, waitMs, branches } as const;
      const pending = this.reserved.take(transactionId);
      await this.settledBegin(transactionId);
      const { transaction } = await this.inVersion(
        () =>
          this.untilAnnounced(() =>
            pending
              ? this.commitBeginning(transactionId, pending, options)
              : this.client.commit(transactionId, options),
          ),
        async () => {
          await Promise.all(branches.map((branch) => this.enlist(transactionId, branch)));
          return this.client.commit(transactionId, { wait, waitMs });
        },
      );
      return answerOf(transaction) ?? 'unknown';
    } catch (error) {
      const abort = abortOf(error);
      if (abort) return abort;
      if (error instanceof TransactionMixedError) return 'unknown'; // the answer does not say which branches
      if (error instanceof ConcordatError && NOT_TAKEN.has(error.code)) throw error;
      // Also a refusal may hide a commit that an earlier attempt of the client has brought about: ask.
      if (error instanceof ConcordatError && !(error instanceof TransactionNotFoundError)) return 'unknown';
      throw error;
    }
  }

  /** Both by one request. Sent again with the rest of the time, which changes nothing once it is begun. */
  private commitBeginning(
    transactionId: TransactionId,
    { request: { protocol }, leftMs }: PendingBegin,
    options: CommitOptions,
  ): Promise<Settlement> {
    const begin = { protocol, timeoutMs: leastTimeout(leftMs()) };
    return this.beginningBy(transactionId, () => this.client.commit(transactionId, { ...options, begin }));
  }

  async abort(
    transactionId: TransactionId,
    branches: readonly HeldEnlistment[] = [],
    invitation?: string,
    isOnlyHere = false,
  ): Promise<void> {
    const pending = this.reserved.take(transactionId);
    if (pending && isOnlyHere) return;
    if (pending) await this.beginNow(transactionId, pending);
    await this.settledBegin(transactionId);
    try {
      await this.inVersion(
        () => this.client.abort(transactionId, { branches, ...showing(invitation) }),
        () => this.client.abort(transactionId, showing(invitation)),
      );
    } catch (error) {
      if (isOutcome(error) && !(error instanceof TransactionMixedError)) return;
      if (this.mayReserve && error instanceof TransactionNotFoundError) return; // it was never begun
      if (error instanceof TransactionMixedError) throw await this.mixed(transactionId, error);
      const isForTheirSake = error instanceof ConcordatError && NOT_TAKEN.has(error.code) && branches.length > 0;
      if (!isForTheirSake) throw error;
      await this.abort(transactionId, [], invitation); // who holds them enlists them, and is refused
    }
  }

  private async mixed(transactionId: TransactionId, cause: TransactionMixedError): Promise<Error> {
    const { outcome, against = [] } = answerOf(await this.client.get(transactionId)) ?? { outcome: 'aborted' };
    return new GlobalTransactionMixedError(transactionId, outcome, against, { cause });
  }

  /** Coordinators of both versions may be there while they are replaced, one by one. */
  private async inVersion<T>(now: () => Promise<T>, earlier: () => Promise<T>): Promise<T> {
    const { clock } = this;
    if (clock.monotonic() >= this.earlierUntil) {
      try {
        return await now();
      } catch (error) {
        if (!(error instanceof ConcordatError) || !NOT_UNDERSTOOD.has(error.code)) throw error;
        this.earlierUntil = clock.monotonic() + EARLIER_VERSION_MS;
      }
    }
    return earlier();
  }

  private async untilAnnounced<T>(request: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await request();
      } catch (error) {
        const isNew = error instanceof ConcordatError && error.code === 'UNKNOWN_PARTICIPANT';
        if (!isNew || attempt >= ANNOUNCEMENT_ATTEMPTS) throw error;
      }
      await sleep(this.clock, ANNOUNCEMENT_PAUSE_MS);
    }
  }

  async stateOf(transactionId: TransactionId): Promise<{ branches: BranchId[]; isDecided: boolean }> {
    const { branches, decision } = await this.client.get(transactionId);
    return { branches: branches.map(({ branchId }) => branchId), isDecided: decision !== null };
  }

  async outcomeOf(transactionId: TransactionId): Promise<CommitAnswer | 'undecided' | 'forgotten'> {
    try {
      return answerOf(await this.client.get(transactionId)) ?? 'undecided';
    } catch (error) {
      if (error instanceof TransactionExpiredError || error instanceof TransactionNotFoundError) return 'forgotten';
      throw error;
    }
  }
}

function showing(invitation: string | undefined): { readonly headers?: Readonly<Record<string, string>> } {
  return invitation === undefined ? {} : { headers: { [INVITATION_HEADER]: invitation } };
}

/** How long a begin may take, for a transaction that may take so long. */
function beginLimits(forMs: number): { readonly timeoutMs: number; readonly attemptTimeoutMs: number } {
  const timeoutMs = Math.min(BEGIN_LIMIT_MS, Math.max(MINIMUM_BEGIN_LIMIT_MS, forMs));
  return { timeoutMs, attemptTimeoutMs: Math.min(ATTEMPT_LIMIT_MS, timeoutMs / 3) };
}

const leastTimeout = (leftMs: number): number => Math.max(LEAST_TIMEOUT_MS, Math.floor(leftMs));

/** The answer of a leader that has decided. */
function isOutcome(error: unknown): boolean {
  return (
    error instanceof TransactionAbortedError ||
    error instanceof TransactionCommittedError ||
    error instanceof TransactionMixedError
  );
}

/** undefined while it is undecided */
function answerOf({ decision, outcome, reason, detail, cause, branches }: Transaction): CommitAnswer | undefined {
  const mixed = outcome === 'mixed' ? { against: branches.filter(isStray).map(strayOf) } : {};
  if (decision === 'commit') return { outcome: 'committed', ...mixed };
  if (decision !== 'abort') return undefined;
  const { participant, participantCode } = cause ?? {};
  return { outcome: 'aborted', reason: reason ?? 'CLIENT_ABORTED', participant, participantCode, detail, ...mixed };
}

const STRAY: ReadonlySet<string> = new Set(['heuristic-rollback', 'heuristic-commit', 'forgotten']);

const isStray = ({ state }: Branch): boolean => STRAY.has(state);
const strayOf = ({ participant, branchId, state }: Branch): StrayBranch => ({ participant, branchId, state });

function abortOf(error: unknown): CommitAnswer | undefined {
  if (!(error instanceof TransactionAbortedError)) return undefined;
  const { reason, participant, participantCode, message } = error;
  return { outcome: 'aborted', reason: reason ?? 'CLIENT_ABORTED', participant, participantCode, detail: message };
}
