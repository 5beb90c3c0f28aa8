import { AsyncLocalStorage } from 'node:async_hooks';
import {
  NO_TRACING,
  SPAN_ATTRIBUTES,
  backoffMs,
  errorMessage,
  sleep,
  unreachable,
  withTimeLimit,
  type Random,
  type RunningSpan,
  type Tracing,
} from '@concordat/foundation';
import type { TransactionId } from '@concordat/commit-protocol';
import type { BranchClient } from '../postgres/index.js';
import { newInvitation, type ContextCodec } from './context-header.js';
import { CurrentTransaction } from './current-transaction.js';
import {
  GlobalOutcomeUnknownError,
  GlobalTransactionAbortedError,
  GlobalTransactionMixedError,
  TransactionForbiddenError,
  TransactionRequiredError,
} from './errors.js';
import { FailedEvents } from './failed-events.js';
import {
  DEFAULT_TIMEOUT_MS,
  checkGlobalTransactionOptions,
  propagationStep,
  type DestinationList,
  type GlobalTransactionOptions,
} from './options.js';
import { consumersJoined } from './consumers-joined.js';
import { OutgoingCall } from './outgoing-call.js';
import { OutgoingMessage } from './outgoing-message.js';
import type { CommitAnswer, GlobalOutcome, HeldEnlistment } from './ports.js';
import { ProcessTransaction, codeOf, type ProcessTransactionPorts, type TimedIdentity } from './process-transaction.js';
import { RefusedContexts } from './refused-contexts.js';
import { isRepeatable } from './repeatable.js';
import { TransactionScope } from './transaction-scope.js';

/** The pauses between the attempts of a repeatable method, and between questions about an outcome. */
const RETRY = { baseMs: 20, capMs: 1_000 };
const ASK = { baseMs: 50, capMs: 2_000 };
/** An abort that takes longer is left to the deadline. */
const ABORT_LIMIT_MS = 5_000;
/** Beyond its deadline a method's last statements and calls are not awaited any longer than this. */
const DRAIN_GRACE_MS = 2_000;
export const DEFAULT_OUTCOME_LIMIT_MS = 30_000;

export interface GlobalTransactionsPorts extends ProcessTransactionPorts {
  readonly random: Random;
  readonly codec: ContextCodec;
  /**
   * whether the coordinators take branches of other participants from this one: not where they ask who it is, because
   * a held branch is the word of its participant. Default false
   */
  readonly mayNameOthers?: boolean;
  /** default: no spans */
  readonly tracing?: Tracing;
}

export interface GlobalTransactionsSettings {
  /** the participant's name */
  readonly participant: string;
  readonly propagateTo: DestinationList;
  /** `host:port` of the coordinators, which are called inside a transaction and take no part; default: none */
  readonly coordinatorHosts?: ReadonlySet<string>;
  /** what a method's end waits for: the decision, or all branches (then a read right after sees all of it) */
  readonly waitFor: 'decided' | 'ended';
  /** how long after its deadline a requested commit is asked about, in milliseconds */
  readonly outcomeLimitMs: number;
}

/** Propagations under which a method always runs in a transaction. */
type Transactional = 'REQUIRED' | 'REQUIRES_NEW' | 'NESTED' | 'MANDATORY';

type Work<T> = (transaction: CurrentTransaction) => T | Promise<T>;

/** The work of a method in a scope, with what became of it. */
export type Settled<T> =
  | { readonly type: 'kept'; readonly value: T }
  | { readonly type: 'failed'; readonly error: unknown; readonly isUndone: boolean };

/**
 * Begins global transactions and runs methods in them. One per participant and process.
 *
 * The context of a method is in an AsyncLocalStorage of its own, entered by `run` only, so it ends with the method.
 */
export class GlobalTransactions {
  private readonly storage = new AsyncLocalStorage<TransactionScope | undefined>();
  private readonly transactions = new Map<TransactionId, ProcessTransaction>();
  /** destinations whose latest answer has left a branch for the client to name */
  private readonly offerTakers = new Set<string>();
  readonly tracing: Tracing;
  /** counts the calls whose context was forged, made for others, or too old, for the metrics of the application */
  readonly refusedContexts: RefusedContexts;
  /** transactions in which the handler of a message has failed here */
  readonly failedEvents: FailedEvents;

  constructor(
    readonly settings: GlobalTransactionsSettings,
    readonly ports: GlobalTransactionsPorts,
  ) {
    this.tracing = ports.tracing ?? NO_TRACING;
    this.refusedContexts = new RefusedContexts(ports);
    this.failedEvents = new FailedEvents(ports.clock);
  }

  /** The transaction of the running method; undefined outside. */
  current(): CurrentTransaction | undefined {
    const scope = this.storage.getStore();
    return scope && new CurrentTransaction(scope);
  }

  /** The transaction of the running method. @throws TransactionRequiredError outside of one */
  get transaction(): CurrentTransaction {
    return new CurrentTransaction(this.requireScope('transaction', 'current()'));
  }

  /** The session of the current transaction, opened at its first statement. @throws TransactionRequiredError outside */
  get client(): BranchClient {
    return this.requireScope('client', 'currentClient()');
  }

  /** The running method as the joining pool sees it, for adapters of database libraries; undefined outside. */
  currentScope(): TransactionScope | undefined {
    return this.storage.getStore();
  }

  /** The session of the current transaction, opened at its first statement; undefined outside. */
  currentClient(): BranchClient | undefined {
    return this.storage.getStore();
  }

  /** Runs `work` outside any transaction. */
  suspend<T>(work: () => T): T {
    return this.storage.run(undefined, work);
  }

  /** Runs `work` inside the scope, for adapters that return to it: subscriptions, generators. */
  runIn<T>(scope: TransactionScope | undefined, work: () => T): T {
    return this.storage.run(scope, work);
  }

  /**
   * Runs `work` as `propagation` says, by default in the current transaction, or in a new one that commits when `work`
   * resolves and aborts when it rejects.
   *
   * @throws what `work` rejects with, after the abort or the savepoint
   * @throws GlobalTransactionAbortedError the coordinators decided to abort
   * @throws GlobalTransactionMixedError it is decided, and a branch ended against it
   * @throws RollbackOnlyError `work` resolved, and something had doomed the transaction
   * @throws GlobalOutcomeUnknownError TransactionRequiredError TransactionForbiddenError GlobalConfigurationError
   */
  run<T>(
    options: GlobalTransactionOptions & { readonly propagation?: Transactional },
    work: (transaction: CurrentTransaction) => T | Promise<T>,
  ): Promise<T>;
  run<T>(
    options: GlobalTransactionOptions,
    work: (transaction: CurrentTransaction | undefined) => T | Promise<T>,
  ): Promise<T>;
  async run<T>(options: GlobalTransactionOptions, work: Work<T>): Promise<T> {
    checkGlobalTransactionOptions(options, 'a global transaction');
    const current = this.storage.getStore();
    const step = propagationStep(options.propagation ?? 'REQUIRED', current !== undefined);
    switch (step) {
      case 'begin':
        return this.beginRepeatedly(options, current, work);
      case 'join':
        return this.joinLocally(current!, work);
      case 'outside':
        return this.suspend(async () => work(undefined as never));
      case 'require':
        throw new TransactionRequiredError();
      case 'forbid':
        throw new TransactionForbiddenError(current!.transaction.transactionId);
      default:
        return unreachable(step, 'propagation step');
    }
  }

  /** What to send along with a call; undefined outside a transaction, or for a destination that is not on the list. */
  outgoing(destination: string): OutgoingCall | undefined {
    const scope = this.storage.getStore();
    if (!scope) return undefined;
    if (this.settings.propagateTo.audienceOf(destination) === undefined) return undefined;
    const { mayNameOthers = false } = this.ports;
    return new OutgoingCall(
      scope,
      destination,
      this.contextFor(scope, destination),
      this.tracing.traceparent(),
      mayNameOthers ? this.offerTakers : undefined,
    );
  }

  /** The participants whose proofs a message without a reply needs; undefined when it carries no transaction. */
  consumersOf(topic: string): readonly string[] | undefined {
    return this.storage.getStore() && this.settings.propagateTo.consumersOf(topic);
  }

  /** What to send along with a message that nobody answers; undefined when it carries no transaction. */
  outgoingMessage(topic: string): OutgoingMessage | undefined {
    const scope = this.storage.getStore();
    const consumers = this.consumersOf(topic);
    if (!scope || !consumers) return undefined;
    return new OutgoingMessage(scope, topic, consumers, this.contextFor(scope, topic), this.tracing.traceparent());
  }

  /** Whether a call to the destination would carry the context of the running transaction. */
  propagatesTo(destination: string): boolean {
    return this.storage.getStore() !== undefined && this.settings.propagateTo.audienceOf(destination) !== undefined;
  }

  /**
   * The part that this process has in the transaction.
   *
   * @param isNamed the client that requests the commit names its branch
   */
  partOf(identity: TimedIdentity, isNamed: boolean, derivedBranchId?: string): ProcessTransaction {
    const known = this.transactions.get(identity.transactionId);
    if (known) {
      known.isCalledAgain(identity);
      return known;
    }
    const created = new ProcessTransaction(identity, this.settings.participant, this.ports, derivedBranchId, isNamed);
    this.transactions.set(identity.transactionId, created);
    return created;
  }

  forget(transaction: ProcessTransaction): void {
    if (this.transactions.get(transaction.transactionId) === transaction) {
      this.transactions.delete(transaction.transactionId);
    }
  }

  /** Tells the coordinators that the transaction can only abort, without waiting. */
  abandon(
    { transactionId, invitation }: Pick<TimedIdentity, 'transactionId' | 'invitation'>,
    branches: readonly HeldEnlistment[] = [],
  ): void {
    const { coordinators, logger } = this.ports;
    coordinators.abort(transactionId, branches, invitation).catch((error: unknown) => {
      if (error instanceof GlobalTransactionMixedError) return void this.noted(error);
      logger.warn(`transaction ${transactionId} aborts at its commit or deadline: ${errorMessage(error)}`);
    });
  }

  /**
   * Runs the work in the scope, and keeps or undoes what it did to the session.
   *
   * @param isNamed the client that requests the commit names the branches; otherwise they are enlisted before this resolves
   */
  async settle<T>(scope: TransactionScope, work: Work<T>, isNamed = true): Promise<Settled<T>> {
    const { transaction } = scope;
    transaction.begin();
    try {
      const value = await this.storage.run(scope, async () => work(new CurrentTransaction(scope)));
      await this.drain(scope);
      await transaction.keep(scope);
      if (!isNamed) await transaction.enlisted();
      return { type: 'kept', value };
    } catch (error) {
      await this.drain(scope);
      return { type: 'failed', error, isUndone: await transaction.undo(scope) };
    } finally {
      transaction.ended();
    }
  }

  /**
   * Asks until the decision is known.
   *
   * @param isBegun one that nobody knows is lost. Otherwise its begin may be on its way into the log, with the
   *   decision, until the deadline
   * @throws GlobalOutcomeUnknownError at the limit after the deadline
   */
  async ask(transaction: ProcessTransaction, isBegun = true): Promise<CommitAnswer> {
    const { transactionId } = transaction;
    const { clock, random, coordinators } = this.ports;
    const until = clock.monotonic() + transaction.leftMs + this.settings.outcomeLimitMs;
    let cause: unknown;
    for (let attempt = 0; ; attempt++) {
      try {
        const answer = await coordinators.outcomeOf(transactionId);
        const isNone = answer === 'forgotten' && (isBegun || transaction.leftMs <= 0);
        if (isNone) throw new GlobalOutcomeUnknownError(transactionId);
        if (answer !== 'undecided' && answer !== 'forgotten') return answer;
      } catch (error) {
        if (error instanceof GlobalOutcomeUnknownError) throw error;
        cause = error;
      }
      if (clock.monotonic() >= until) throw new GlobalOutcomeUnknownError(transactionId, { cause });
      await sleep(clock, backoffMs(attempt, ASK, random));
    }
  }

  private requireScope(property: string, otherwise: string): TransactionScope {
    const scope = this.storage.getStore();
    if (scope) return scope;
    throw new TransactionRequiredError(
      `GlobalTransactions.${property} is used outside of a global transaction; call it from a @GlobalTransaction() method, ` +
        `from a handler with @JoinGlobalTransaction(), or inside run(); ${otherwise} is undefined outside instead`,
    );
  }

  private contextFor({ transaction }: TransactionScope, destination: string): string {
    const { transactionId, deadline } = transaction;
    const audience = this.settings.propagateTo.audienceOf(destination)!;
    return this.ports.codec.encode({ transactionId, deadline, audience });
  }

  private async joinLocally<T>(current: TransactionScope, work: Work<T>): Promise<T> {
    const { transaction } = current;
    current.refuseLate();
    const inner = new TransactionScope(transaction, current, true);
    const settled = await this.settle(inner, work);
    if (settled.type === 'kept') {
      current.hooks.take(inner.hooks);
      return settled.value;
    }
    if (settled.isUndone) current.hooks.takeUndone(inner.hooks);
    else {
      current.hooks.take(inner.hooks);
      transaction.doom(doomOf(settled.error, this.settings.participant));
    }
    throw settled.error;
  }

  private async beginRepeatedly<T>(
    options: GlobalTransactionOptions,
    suspended: TransactionScope | undefined,
    work: Work<T>,
  ): Promise<T> {
    const { clock, random, logger } = this.ports;
    const attempts = options.retry?.attempts ?? 1;
    for (let attempt = 1; ; attempt++) {
      let last = 'that has not begun';
      try {
        return await this.beginTraced(options, suspended, work, (transactionId) => (last = transactionId));
      } catch (error) {
        if (attempt >= attempts || !isRepeatable(error)) throw error;
        logger.debug(`transaction ${last}, attempt ${attempt} of ${attempts}, is repeated: ${errorMessage(error)}`);
      }
      await sleep(clock, backoffMs(attempt - 1, RETRY, random));
    }
  }

  private beginTraced<T>(
    options: GlobalTransactionOptions,
    suspended: TransactionScope | undefined,
    work: Work<T>,
    onBegun: (transactionId: TransactionId) => void,
  ): Promise<T> {
    const attributes = {
      [SPAN_ATTRIBUTES.participant]: this.settings.participant,
      [SPAN_ATTRIBUTES.protocol]: options.protocol ?? '2pc',
    };
    const request = { name: 'concordat transaction', attributes };
    return this.tracing.span(request, (span) => this.begin(options, suspended, work, onBegun, span));
  }

  private async begin<T>(
    { protocol = '2pc', timeoutMs = DEFAULT_TIMEOUT_MS, metadata }: GlobalTransactionOptions,
    suspended: TransactionScope | undefined,
    work: Work<T>,
    onBegun: (transactionId: TransactionId) => void,
    span: RunningSpan,
  ): Promise<T> {
    const { coordinators, clock, sessions, isAddressable } = this.ports;
    const startedAt = clock.monotonic();
    const beginner = isAddressable
      ? { participant: this.settings.participant, instance: sessions.instance }
      : undefined;
    const invitation = newInvitation();
    const identity = await coordinators.begin({ protocol, timeoutMs, metadata, beginner, invitation });
    span.set({ [SPAN_ATTRIBUTES.transactionId]: identity.transactionId });
    onBegun(identity.transactionId);
    const leftMs = timeoutMs - (clock.monotonic() - startedAt);
    const transaction = this.partOf({ ...identity, invitation, leftMs }, true);
    const scope = new TransactionScope(transaction, undefined, false, suspended);
    const settled = await this.settle(scope, work);
    try {
      if (settled.type === 'failed') throw settled.error;
      await this.commit(transaction);
    } catch (error) {
      const outcome = outcomeOf(error);
      span.set({ [SPAN_ATTRIBUTES.outcome]: outcome ?? 'unknown' });
      await this.abort(transaction, error);
      await this.runHooks(scope, outcome);
      throw error;
    }
    span.set({ [SPAN_ATTRIBUTES.outcome]: 'committed' });
    await this.runHooks(scope, 'committed');
    return settled.value;
  }

  /** @throws anything but a success */
  private async commit(transaction: ProcessTransaction): Promise<void> {
    const { transactionId } = transaction;
    const { coordinators } = this.ports;
    if (transaction.doomed?.code === 'NOT_ENLISTED') refuseLate(transaction); // which is why it came too late
    transaction.refuseDoomed();
    await consumersJoined(transaction, this.ports);
    await transaction.prepareUnaddressable();
    refuseLate(transaction);
    const first = await coordinators.commit(transactionId, this.settings.waitFor, transaction.named());
    const answer = first === 'unknown' ? await this.ask(transaction) : first;
    if (answer.against)
      throw this.noted(new GlobalTransactionMixedError(transactionId, answer.outcome, answer.against));
    if (answer.outcome === 'committed') return;
    transaction.refuseDoomed(); // says who did it
    throw new GlobalTransactionAbortedError(transactionId, answer);
  }

  /** Frees the locks here, and tells the coordinators. After a decision it does nothing. */
  private async abort(transaction: ProcessTransaction, error: unknown): Promise<void> {
    const { clock, logger, coordinators } = this.ports;
    const { transactionId } = transaction;
    if (error instanceof GlobalOutcomeUnknownError || error instanceof GlobalTransactionMixedError) return;
    const isDecided = error instanceof GlobalTransactionAbortedError && error.reason !== 'DEADLINE_EXCEEDED';
    const aborting = isDecided
      ? Promise.resolve()
      : coordinators.abort(
          transactionId,
          [...transaction.unlisted.values()],
          transaction.invitation,
          !transaction.isToldElsewhere,
        );
    try {
      const all = Promise.all([aborting, transaction.rollBack(codeOf(error, 'METHOD_FAILED'), errorMessage(error))]);
      await withTimeLimit(clock, ABORT_LIMIT_MS, 'the abort', all);
    } catch (failure) {
      if (failure instanceof GlobalTransactionMixedError) return void this.noted(failure);
      logger.warn(`transaction ${transactionId} aborts at its deadline: ${errorMessage(failure)}`);
    }
  }

  /** Whoever gets the error may drop it, and somebody has to repair the data. */
  private noted(error: GlobalTransactionMixedError): GlobalTransactionMixedError {
    this.ports.logger.error(error.message, error);
    return error;
  }

  /** @param outcome undefined: nobody knows, so nothing is called */
  private async runHooks(scope: TransactionScope, outcome: GlobalOutcome | undefined): Promise<void> {
    this.forget(scope.transaction);
    scope.hooks.take(scope.transaction.hooks);
    if (outcome === undefined) return;
    const { transactionId } = scope.transaction;
    await this.suspend(() => scope.hooks.run(outcome, transactionId, this.ports.logger));
  }

  /** Waits for the last statements and calls of the method, not much longer than the deadline. */
  private async drain(scope: TransactionScope): Promise<void> {
    const { clock, logger } = this.ports;
    const limitMs = scope.transaction.leftMs + DRAIN_GRACE_MS;
    try {
      await withTimeLimit(clock, limitMs, 'what the method left running', scope.close());
    } catch (error) {
      logger.warn(`transaction ${scope.transaction.transactionId}: ${errorMessage(error)}`);
    }
  }
}

export function doomOf(
  error: unknown,
  participant: string,
): { code: string; by: string; message: string; cause: unknown } {
  return { code: codeOf(error, 'METHOD_FAILED'), by: participant, message: errorMessage(error), cause: error };
}

/** undefined: nobody knows */
function outcomeOf(error: unknown): GlobalOutcome | undefined {
  if (error instanceof GlobalOutcomeUnknownError) return undefined;
  return error instanceof GlobalTransactionMixedError ? error.decision : 'aborted';
}

/** @throws GlobalTransactionAbortedError after the deadline */
function refuseLate({ transactionId, leftMs }: ProcessTransaction): void {
  if (leftMs > 0) return;
  const detail = 'the method returned after the deadline';
  throw new GlobalTransactionAbortedError(transactionId, { reason: 'DEADLINE_EXCEEDED', detail });
}
