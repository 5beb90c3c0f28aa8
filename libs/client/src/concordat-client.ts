import { checkPayloads, resultsOf } from './contracts/results.js';
import type { OperationWork, ResultsOf } from './contracts/operation.js';
import { decodedBranch, decodedTransaction, encodedWorks, type Undecodable } from './codec/coded-calls.js';
import { PayloadCodecs } from './codec/payload-codecs.js';
import { ClusterCalls } from './cluster-calls.js';
import { Watch, type WatchAllOptions, type WatchEvent, type WatchOptions } from './events/watch.js';
import { Locks } from './locks/locks.js';
import {
  begunShape,
  branchShape,
  inDoubtPageShape,
  resolutionShape,
  transactionPageShape,
  transactionShape,
  type Page,
} from './model/shapes.js';
import type { BegunTransaction, Branch, InDoubtBranch, Resolution, Transaction } from './model/transaction.js';
import { pages } from './pages.js';
import {
  bodyOf,
  idOf,
  keyOf,
  queryOf,
  waitMsOf,
  workBody,
  type BeginOptions,
  type CommitOptions,
  type EndOptions,
  type HeldBranch,
  type KeyOptions,
  type ListQuery,
  type PageQuery,
  type PreparedBranch,
  type ReadOptions,
  type RulingRequest,
  type TransactionOptions,
  type WaitOptions,
} from './requests.js';
import { settingsOf, type ClientOptions } from './transport/options.js';
import { checked, Transport, type Call } from './transport/transport.js';

/** The answer to a commit or an abort. */
export type Settlement =
  /** with the outcome that was asked for */
  | { readonly settled: true; readonly transaction: Transaction }
  /**
   * the wait ended first: the request is logged and will be decided (202). Call again, or `watch`. With `wait: 'ended'`
   * the transaction may hold its decision already
   */
  | { readonly settled: false; readonly transaction: Transaction };

/** The answer to `execute`: `results` in the places of the work that was sent. */
export type Execution<Works extends readonly OperationWork[]> =
  | { readonly settled: true; readonly transaction: Transaction; readonly results: ResultsOf<Works> }
  | { readonly settled: false; readonly transaction: Transaction };

/**
 * A client of the coordinators: every call of their REST interface, typed. It goes on to another coordinator when one
 * fails, and repeats a request only where a repetition cannot have a further effect.
 *
 * Every method throws a `ConcordatError` with a stable `code`. It holds no connection and need not be closed.
 */
export class ConcordatClient {
  /** The group of coordinators: its state, its members, its leader. */
  readonly cluster: ClusterCalls;
  /** Locks with a lease. */
  readonly locks: Locks;
  private readonly transport: Transport;
  private readonly codecs: PayloadCodecs;

  /** @throws ClientOptionError */
  constructor(options: ClientOptions) {
    this.transport = new Transport(settingsOf(options));
    this.codecs = new PayloadCodecs(options.payloadCodecs ?? []);
    this.cluster = new ClusterCalls(this.transport);
    this.locks = new Locks(this.transport);
  }

  /** Begins a transaction, which stays open until it is committed, aborted, or at its deadline. */
  begin(transaction: BeginOptions = {}, options: KeyOptions = {}): Promise<BegunTransaction> {
    const { protocol, timeoutMs, metadata, deferred, beginner, id, reserve } = transaction;
    return run(() => {
      const body = bodyOf({ protocol, timeoutMs, metadata, deferred, beginner, id, reserve });
      const isKeyless = deferred === true && options.idempotencyKey === undefined;
      // Repeated, it leaves a transaction that nobody commits, which is none.
      const call = isKeyless
        ? ({ method: 'POST', path: '/v1/transactions', body, repeatability: 'idempotent' } as const)
        : keyed('/v1/transactions', body, options);
      return this.transport.read({ ...call, statuses: [201] }, begunShape, options);
    });
  }

  /**
   * Adds work to a transaction: an operation that its participant does when the transaction commits, a branch that was
   * prepared already, or one that a process holds open.
   *
   * @returns the branch; further work for the same participant joins it
   * @throws TransactionClosedError, BranchConflictError, TransactionNotFoundError
   */
  enlist(
    transactionId: string,
    branch: OperationWork | PreparedBranch | HeldBranch,
    options: KeyOptions = {},
  ): Promise<Branch> {
    return run(async () => {
      if ('operation' in branch) await checkPayloads([branch]);
      const [encoded] = 'operation' in branch ? await encodedWorks(this.codecs, [branch]) : [branch];
      const call = keyed(`/v1/transactions/${idOf(transactionId)}/branches`, branchBody(encoded ?? branch), options);
      const repeatability = 'branchId' in branch ? 'idempotent' : call.repeatability;
      const request: Call = { ...call, repeatability, transactionId, statuses: [200, 201] };
      return decodedBranch(this.codecs, await this.transport.read(request, branchShape, options));
    });
  }

  /**
   * Begins, prepares and commits a transaction in one call.
   *
   * @returns the committed transaction with the results, or `settled: false` when it was not decided within `waitMs`
   * @throws TransactionAbortedError
   */
  execute<const Works extends readonly OperationWork[]>(
    works: Works,
    transaction: TransactionOptions = {},
    options: KeyOptions & WaitOptions = {},
  ): Promise<Execution<Works>> {
    const { protocol, timeoutMs, metadata } = transaction;
    return run(async () => {
      await checkPayloads(works);
      const encoded: readonly OperationWork[] = await encodedWorks<OperationWork>(this.codecs, works);
      const body = bodyOf({ protocol, timeoutMs, metadata, branches: encoded.map(workBody) });
      const settlement = await this.settle(keyed('/v1/transactions/execute', body, options), options, 'error');
      if (!settlement.settled) return settlement;
      return { ...settlement, results: await resultsOf(settlement.transaction, works) };
    });
  }

  /**
   * Commits a transaction, with the branches that the request names. May be repeated.
   *
   * @throws TransactionAbortedError
   */
  commit(transactionId: string, options: CommitOptions = {}): Promise<Settlement> {
    const { protocol, timeoutMs, metadata } = options.begin ?? {};
    const begin = options.begin && bodyOf({ protocol, timeoutMs, metadata });
    return run(() => this.settle(ending(transactionId, 'commit', options, begin), options));
  }

  /**
   * Aborts a transaction, and tells the branches that the request names. May be repeated.
   *
   * @throws TransactionCommittedError
   */
  abort(transactionId: string, options: EndOptions = {}): Promise<Settlement> {
    return run(() => this.settle(ending(transactionId, 'abort', options), options));
  }

  /** @throws TransactionNotFoundError, TransactionExpiredError */
  get(transactionId: string, options: ReadOptions = {}): Promise<Transaction> {
    const { consistency } = options;
    return run(async () => {
      const path = `/v1/transactions/${idOf(transactionId)}${queryOf({ consistency })}`;
      const call: Call = { method: 'GET', path, repeatability: 'read', transactionId, statuses: [200] };
      return this.decoded(await this.transport.read(call, transactionShape, options));
    });
  }

  /** One page of the transactions, newest first. */
  async listPage(query: ListQuery = {}, options: ReadOptions = {}): Promise<Page<Transaction>> {
    const { status, participant, limit, cursor } = query;
    const path = `/v1/transactions${queryOf({ status, participant, limit, cursor, consistency: options.consistency })}`;
    const page = await this.transport.read(read(path), transactionPageShape, options);
    return { ...page, items: await Promise.all(page.items.map((item) => this.decoded(item))) };
  }

  /** All transactions that fit, newest first, page by page; `limit` is the size of a page. */
  list(query: Omit<ListQuery, 'cursor'> = {}, options: ReadOptions = {}): AsyncGenerator<Transaction, void, undefined> {
    return pages((cursor) => this.listPage({ ...query, cursor }, options));
  }

  /**
   * Watches one transaction: its state now, each later one, and the end. States that follow each other quickly may be
   * left out; the last one never is. It outlasts the failure of coordinators.
   *
   * @throws TransactionNotFoundError, TransactionExpiredError
   */
  watch(transactionId: string, options: WatchOptions = {}): AsyncGenerator<Transaction, void, undefined> {
    return mapped(new Watch(this.transport, options).one(transactionId), (transaction) => this.decoded(transaction));
  }

  /**
   * Watches all transactions, until the signal ends it or the loop is left. It outlasts the failure of coordinators,
   * and no change is missed without a `reset`; one that failed for longer than `timeoutMs` throws, and goes on with the
   * `logIndex` of the last event as `after`.
   */
  watchAll(options: WatchAllOptions = {}): AsyncGenerator<WatchEvent, void, undefined> {
    return mapped(new Watch(this.transport, options).all(options.after), async (event) => {
      return event.kind === 'reset' ? event : { ...event, transaction: await this.decoded(event.transaction) };
    });
  }

  /** One page of the branches in doubt, and of those that need an operator, oldest first. */
  inDoubtPage(query: PageQuery = {}, options: ReadOptions = {}): Promise<Page<InDoubtBranch>> {
    const { limit, cursor } = query;
    const path = `/v1/in-doubt${queryOf({ limit, cursor, consistency: options.consistency })}`;
    return this.transport.read(read(path), inDoubtPageShape, options);
  }

  /** All branches in doubt, and those that need an operator, oldest first. */
  inDoubt(
    query: Omit<PageQuery, 'cursor'> = {},
    options: ReadOptions = {},
  ): AsyncGenerator<InDoubtBranch, void, undefined> {
    return pages((cursor) => this.inDoubtPage({ ...query, cursor }, options));
  }

  /**
   * Rules on a transaction that cannot end by itself. For operators: a ruling is logged, and may give up what a branch
   * holds.
   *
   * @throws RulingRefusedError, with `RULING_NEEDS_FORCE` where the ruling is possible only with `force`
   */
  resolve(transactionId: string, ruling: RulingRequest, options: KeyOptions = {}): Promise<Resolution> {
    const { action, branchId, reason, operator, force } = ruling;
    return run(() => {
      const body = bodyOf({ action, branchId, reason, operator, force });
      const call = keyed(`/v1/transactions/${idOf(transactionId)}/resolve`, body, options);
      return this.transport.read({ ...call, transactionId, statuses: [200] }, resolutionShape, options);
    });
  }

  private decoded(transaction: Transaction, undecodable: Undecodable = 'left'): Promise<Transaction> {
    return decodedTransaction(this.codecs, transaction, undecodable);
  }

  private async settle(call: Call, options: WaitOptions, undecodable: Undecodable = 'left'): Promise<Settlement> {
    const waitMs = waitMsOf(options.waitMs);
    const path = `${call.path}${queryOf({ waitMs, wait: options.wait })}`;
    const waiting: Call = { ...call, path, waitMs, statuses: [200, 202] };
    const { status, body } = await this.transport.request(waiting, options);
    const transaction = await this.decoded(checked(transactionShape, body, waiting, status), undecodable);
    return { settled: status === 200, transaction };
  }
}

/** So that a method that fails before its first request rejects too, and never throws at once. */
async function run<Result>(call: () => Promise<Result>): Promise<Result> {
  return call();
}

/** Leaving the loop ends the source as well. */
async function* mapped<Item>(
  items: AsyncGenerator<Item, void, undefined>,
  change: (item: Item) => Promise<Item>,
): AsyncGenerator<Item, void, undefined> {
  for await (const item of items) yield await change(item);
}

function keyed(path: string, body: unknown, options: KeyOptions): Omit<Call, 'statuses'> & { statuses: [] } {
  const idempotencyKey = keyOf(options);
  const repeatability = idempotencyKey === undefined ? 'once' : 'idempotent';
  return { method: 'POST', path, body, idempotencyKey, repeatability, statuses: [] };
}

function read(path: string): Call {
  return { method: 'GET', path, repeatability: 'read', statuses: [200] };
}

function ending(transactionId: string, verb: 'commit' | 'abort', { branches = [] }: EndOptions, begin?: object): Call {
  const path = `/v1/transactions/${idOf(transactionId)}/${verb}`;
  const named = branches.length > 0 && { branches: branches.map(branchBody) };
  const body = named || begin ? { ...named, ...(begin && { begin }) } : undefined;
  return { method: 'POST', path, body, repeatability: 'idempotent', transactionId, statuses: [200] };
}

function branchBody(branch: OperationWork | PreparedBranch | HeldBranch): Readonly<Record<string, unknown>> {
  if ('operation' in branch) return bodyOf(workBody(branch));
  const { participant, branchId } = branch;
  return 'vote' in branch
    ? bodyOf({ participant, branchId, vote: branch.vote })
    : bodyOf({ participant, branchId, instance: branch.instance });
}
