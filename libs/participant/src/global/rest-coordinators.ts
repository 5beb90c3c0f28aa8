import {
  ConcordatClient,
  ConcordatError,
  TransactionAbortedError,
  TransactionCommittedError,
  TransactionExpiredError,
  TransactionMixedError,
  TransactionNotFoundError,
  type ClientOptions,
  type Transaction,
} from '@concordat/client';
import { sleep, type Clock } from '@concordat/foundation';
import type { BranchId, TransactionId } from '@concordat/commit-protocol';
import type { BeginRequest, BranchEnlistment, CommitAnswer, GlobalCoordinators } from './ports.js';

/** A begin that takes longer is an error of the method. */
const BEGIN_LIMIT_MS = 10_000;
/** A process that has just started is known when its announcement arrives. */
const ANNOUNCEMENT_ATTEMPTS = 20;
const ANNOUNCEMENT_PAUSE_MS = 100;
/** Then it is asked about: the decision may be near. */
const DECIDED_WAIT_MS = 30_000;
/** A participant that is dead must not hold up the caller, who has the decision by then. */
const ENDED_WAIT_MS = 3_000;

/** The coordinators over their REST interface. */
export class RestCoordinators implements GlobalCoordinators {
  private readonly client: ConcordatClient;

  constructor(
    options: ClientOptions,
    private readonly clock: Clock,
  ) {
    this.client = new ConcordatClient(options);
  }

  async begin(request: BeginRequest): Promise<{ transactionId: TransactionId; deadline: number }> {
    const { id, deadline } = await this.client.begin(request, { timeoutMs: BEGIN_LIMIT_MS });
    return { transactionId: id, deadline: Date.parse(deadline) };
  }

  async enlist(transactionId: TransactionId, branch: BranchEnlistment): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.client.enlist(transactionId, branch);
        return;
      } catch (error) {
        const isNew = error instanceof ConcordatError && error.code === 'UNKNOWN_PARTICIPANT';
        if (!isNew || attempt >= ANNOUNCEMENT_ATTEMPTS) throw error;
      }
      await sleep(this.clock, ANNOUNCEMENT_PAUSE_MS);
    }
  }

  async commit(transactionId: TransactionId, wait: 'decided' | 'ended'): Promise<CommitAnswer | 'unknown'> {
    try {
      const waitMs = wait === 'ended' ? ENDED_WAIT_MS : DECIDED_WAIT_MS;
      const { transaction } = await this.client.commit(transactionId, { wait, waitMs });
      return answerOf(transaction) ?? 'unknown';
    } catch (error) {
      const abort = abortOf(error);
      if (abort) return abort;
      if (error instanceof TransactionMixedError) return { outcome: 'committed' };
      // Also a refusal may hide a commit that an earlier attempt of the client has brought about: ask.
      if (error instanceof ConcordatError && !(error instanceof TransactionNotFoundError)) return 'unknown';
      throw error;
    }
  }

  async abort(transactionId: TransactionId): Promise<void> {
    try {
      await this.client.abort(transactionId);
    } catch (error) {
      if (error instanceof TransactionAbortedError || error instanceof TransactionCommittedError) return;
      throw error;
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

/** undefined while it is undecided. What an operator did to a single branch does not change the decision. */
function answerOf({ decision, reason, detail, cause }: Transaction): CommitAnswer | undefined {
  if (decision === 'commit') return { outcome: 'committed' };
  if (decision !== 'abort') return undefined;
  const { participant, participantCode } = cause ?? {};
  return { outcome: 'aborted', reason: reason ?? 'CLIENT_ABORTED', participant, participantCode, detail };
}

function abortOf(error: unknown): CommitAnswer | undefined {
  if (!(error instanceof TransactionAbortedError)) return undefined;
  const { reason, participant, participantCode, message } = error;
  return { outcome: 'aborted', reason: reason ?? 'CLIENT_ABORTED', participant, participantCode, detail: message };
}
