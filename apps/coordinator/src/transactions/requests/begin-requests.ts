import type { BeginRecord, TransactionId, TransactionState } from '@concordat/commit-protocol';
import { LogUnavailableError, OutcomeUnknownError, OverloadedError } from '../errors.js';
import type { LeaderSession } from '../leadership/leader-session.js';
import type { TransactionOptions } from '../options.js';
import type { TransactionQueries } from '../queries/transaction-queries.js';
import type { BeginRequest, BegunView, CommitOptions } from '../transactions.api.js';
import { logged } from './once-per-key.js';
import type { RequestRecords } from './request-records.js';
import type { Waiters } from './waiters.js';

export interface BeginRequestsDependencies {
  readonly records: RequestRecords;
  readonly queries: TransactionQueries;
  readonly waiters: Waiters;
  readonly options: Pick<TransactionOptions, 'maximumOpenTransactions' | 'maximumOpenBytes'>;
}

/** Begins transactions on the leader. Refuses what goes beyond the bounds of a node. Has no state of its own. */
export class BeginRequests {
  constructor(private readonly dependencies: BeginRequestsDependencies) {}

  /**
   * Opens a transaction to which branches can be added.
   *
   * @throws OverloadedError, and TransactionNotFoundError for an id that the session has not reserved for the client
   */
  async open(session: LeaderSession, request: BeginRequest): Promise<BegunView> {
    const { records, waiters } = this.dependencies;
    this.refuseOverload(session);
    if (request.id !== undefined) this.use(session, request.id, request);
    const record = records.begin(request);
    const begun = logged(session.begin(record, request));
    if (request.deferred !== true) return this.answer(session, request, (await begun).transactions[0]!);
    begun.catch((error: Error) => waiters.fail(record.transactionId, this.inVain(record, error)));
    return this.answer(session, request, session.machineOf(record.transactionId)!.transaction);
  }

  /**
   * Begins a transaction that nobody knows, together with the request to commit it: its branches are all there, as those
   * of a one-shot one, and are asked to prepare at once.
   *
   * @throws OverloadedError, TooManyBranchesError, and as `open`
   */
  complete(
    session: LeaderSession,
    transactionId: TransactionId,
    request: BeginRequest,
    branches: NonNullable<CommitOptions['branches']>,
  ): void {
    const { records, waiters } = this.dependencies;
    this.refuseOverload(session);
    const record = records.complete(request, transactionId, branches);
    this.use(session, transactionId, request);
    logged(session.begin(record)).catch((error: Error) => waiters.fail(transactionId, this.inVain(record, error)));
  }

  /** @throws OverloadedError */
  refuseOverload(session: LeaderSession): void {
    const { maximumOpenTransactions, maximumOpenBytes } = this.dependencies.options;
    if (session.openCount >= maximumOpenTransactions) {
      throw new OverloadedError(`${maximumOpenTransactions} transactions are open, which is the limit`);
    }
    if (session.openBytes >= maximumOpenBytes) {
      throw new OverloadedError(`the open transactions have ${maximumOpenBytes} bytes, which is the limit`);
    }
    if (session.admissionIsFull) throw new OverloadedError('too many transactions wait for their keys');
  }

  private use(session: LeaderSession, id: TransactionId, { owner }: BeginRequest): void {
    if (!session.reserved.take(id, owner)) throw this.dependencies.queries.missing(id);
  }

  private answer(session: LeaderSession, { reserve = 0, owner }: BeginRequest, state: TransactionState): BegunView {
    const view = this.dependencies.queries.view(state);
    return reserve > 0 ? { ...view, reserved: session.reserved.reserve(reserve, owner) } : view;
  }

  /** What the failure of a begin means for those that wait for the transaction. */
  private inVain({ transactionId }: BeginRecord, error: Error): Error {
    const isUncertain = error instanceof LogUnavailableError || error instanceof OutcomeUnknownError;
    return isUncertain ? error : this.dependencies.queries.missing(transactionId);
  }
}
