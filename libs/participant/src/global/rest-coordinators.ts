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
  type Branch,
  type ClientOptions,
  type Transaction,
} from '@concordat/client';
import { sleep, type Clock } from '@concordat/foundation';
import type { BranchId, TransactionId } from '@concordat/commit-protocol';
import { INVITATION_HEADER } from './context-header.js';
import { GlobalTransactionMixedError, NotBegunError, type StrayBranch } from './errors.js';
import type { BeginRequest, BranchEnlistment, CommitAnswer, GlobalCoordinators, HeldEnlistment } from './ports.js';

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

/** The coordinators over their REST interface. */
export class RestCoordinators implements GlobalCoordinators {
  private readonly client: ConcordatClient;
  /** monotonic, in milliseconds: until then they are asked as an earlier version is */
  private earlierUntil = Number.NEGATIVE_INFINITY;

  constructor(
    options: ClientOptions,
    private readonly clock: Clock,
  ) {
    this.client = new ConcordatClient({ attemptTimeoutMs: ATTEMPT_LIMIT_MS, ...options });
  }

  async begin({
    beginner,
    invitation,
    ...request
  }: BeginRequest): Promise<{ transactionId: TransactionId; deadline: number }> {
    const timeoutMs = Math.min(BEGIN_LIMIT_MS, Math.max(MINIMUM_BEGIN_LIMIT_MS, request.timeoutMs));
    const attemptTimeoutMs = Math.min(ATTEMPT_LIMIT_MS, timeoutMs / 3);
    const options = { timeoutMs, attemptTimeoutMs, ...showing(invitation) };
    const { id, deadline } = await this.inVersion(
      () => this.client.begin({ ...request, beginner, deferred: true }, options),
      () => this.client.begin(request, options),
    ).catch((error: unknown) => {
      throw notBegun(error, timeoutMs);
    });
    return { transactionId: id, deadline: Date.parse(deadline) };
  }

  async enlist(transactionId: TransactionId, branch: BranchEnlistment, invitation?: string): Promise<void> {
    await this.untilAnnounced(() => this.client.enlist(transactionId, branch, showing(invitation)));
  }

  async commit(
    transactionId: TransactionId,
    wait: 'decided' | 'ended',
    branches: readonly HeldEnlistment[],
  ): Promise<CommitAnswer | 'unknown'> {
    try {
      const waitMs = wait === 'ended' ? ENDED_WAIT_MS : DECIDED_WAIT_MS;
      const reported = wait === 'ended' ? 'reported' : wait;
      const { transaction } = await this.inVersion(
        () => this.untilAnnounced(() => this.client.commit(transactionId, { wait: reported, waitMs, branches })),
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

  async abort(
    transactionId: TransactionId,
    branches: readonly HeldEnlistment[] = [],
    invitation?: string,
  ): Promise<void> {
    try {
      await this.inVersion(
        () => this.client.abort(transactionId, { branches, ...showing(invitation) }),
        () => this.client.abort(transactionId, showing(invitation)),
      );
    } catch (error) {
      if (error instanceof TransactionAbortedError || error instanceof TransactionCommittedError) return;
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

/** A header, which coordinators of an earlier version take no notice of. */
function showing(invitation: string | undefined): { readonly headers?: Readonly<Record<string, string>> } {
  return invitation === undefined ? {} : { headers: { [INVITATION_HEADER]: invitation } };
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
