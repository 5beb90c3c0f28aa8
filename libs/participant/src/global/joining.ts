import { SPAN_ATTRIBUTES, errorMessage, traceparentOf } from '@concordat/foundation';
import { MAXIMUM_UNLISTED, answerHeaders, isOffered, type JoiningAnswer } from './joining-answer.js';
import { consumersJoined } from './consumers-joined.js';
import { invitationIn, type TransactionContext } from './context-header.js';
import { derivedBranchId, joinedMarkerId, type Delivery } from './derived-branch-id.js';
import { TransactionForbiddenError, RollbackOnlyError } from './errors.js';
import type { CurrentTransaction } from './current-transaction.js';
import { doomOf, type GlobalTransactions } from './global-transactions.js';
import { checkGlobalTransactionOptions, propagationStep, type GlobalTransactionOptions } from './options.js';
import { codeOf, type ProcessTransaction } from './process-transaction.js';
import type { GlobalOutcome } from './ports.js';
import { isTooLate } from './too-late.js';
import { TransactionScope } from './transaction-scope.js';

/** A call as it arrived. */
export interface IncomingCall {
  /** all values of the context header; undefined or empty when the call brought none */
  readonly context: string | readonly string[] | undefined;
  /** the names by which the caller may have addressed this service */
  readonly audiences: readonly string[];
  /** of a message that may be delivered again */
  readonly delivery?: Delivery;
  /** nobody waits for an answer, so a failure aborts the transaction, and a success is told to the coordinators */
  readonly isEvent?: boolean;
  /** the values of the trace header */
  readonly trace?: string | readonly string[] | undefined;
  /** the values of the header with the invitation */
  readonly invitation?: string | readonly string[] | undefined;
  /** the value of the header by which the caller offers to name the branches when it requests the commit */
  readonly offer?: string | readonly string[] | undefined;
}

/** Receives the headers to answer with, once, before `join` settles. */
export type AnswerSink = (headers: Readonly<Record<string, string>>) => void;

/** However wrong a clock is, nothing waits longer than the longest transaction. */
const MAXIMUM_LEFT_MS = 3_600_000;

interface Remembered {
  readonly value: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

type Work<T> = (transaction: CurrentTransaction | undefined) => T | Promise<T>;

/**
 * Runs the handler of a call in the caller's transaction, as `propagation` says. Without a context it is
 * `transactions.run(options, work)`.
 *
 * The handler is a savepoint: if it fails, its work is undone alone where that is possible, and the answer says whether
 * it was. Its branch is enlisted before this resolves.
 *
 * @throws what `work` rejects with; InvalidContextError ContextExpiredError; RollbackOnlyError when the handler
 *   succeeded in a transaction that can only abort; what `run` throws
 */
export async function join<T>(
  transactions: GlobalTransactions,
  call: IncomingCall,
  options: GlobalTransactionOptions,
  work: Work<T>,
  answer: AnswerSink,
): Promise<T> {
  const { context } = call;
  if (context === undefined || context.length === 0) return transactions.run(options, work);
  const { participant } = transactions.settings;
  try {
    checkGlobalTransactionOptions(options, 'a joining method');
    const now = transactions.ports.clock.now();
    const { transactionId, deadline } = contextOf(transactions, { ...call, context }, now);
    const leftMs = Math.min(MAXIMUM_LEFT_MS, Math.max(0, deadline - now));
    const identity = { transactionId, deadline, leftMs, invitation: invitationIn(call.invitation) };
    if (call.isEvent) transactions.failedEvents.refuse(transactionId);
    const step = propagationStep(options.propagation ?? 'REQUIRED', true);
    if (step === 'forbid') throw new TransactionForbiddenError(identity.transactionId);
    if (step !== 'join') {
      // Work outside the caller's transaction on purpose: the proof says that no branch of it is here.
      const outside = transactions.suspend(() => transactions.run(options, work));
      const isTold = call.isEvent && call.delivery;
      const value = await (isTold ? tellJoined(transactions, identity, call.delivery, outside) : outside);
      answer(answerHeaders({ type: 'joined', branches: [] }));
      return value;
    }
    const { delivery } = call;
    const branchId = delivery && derivedBranchId(identity.transactionId, participant, delivery);
    const isNamed = !delivery && isOffered(call.offer);
    const transaction = transactions.partOf(identity, isNamed, branchId);
    transaction.mayBeUnknown ||= isNamed;
    const attributes = {
      [SPAN_ATTRIBUTES.transactionId]: identity.transactionId,
      [SPAN_ATTRIBUTES.participant]: participant,
    };
    const kind = delivery ? 'consumer' : 'server';
    const span = { name: 'concordat join', kind, parent: traceparentOf(call.trace), attributes } as const;
    return await transactions.tracing.span(span, async (running) => {
      try {
        return await (delivery
          ? joinOnce(transactions, transaction, call, delivery, work, answer)
          : joinHere(transactions, transaction, work, answer, isNamed));
      } finally {
        running.set({ [SPAN_ATTRIBUTES.branchId]: transaction.ownBranch });
      }
    });
  } catch (error) {
    if (!isAnswered(error)) {
      answer(answerHeaders({ type: 'failed', code: codeOf(error, 'METHOD_FAILED'), participant, isUndone: true }));
    }
    throw unwrap(error);
  }
}

/** @throws InvalidContextError ContextExpiredError, counted */
function contextOf(
  { ports, refusedContexts }: GlobalTransactions,
  { context, audiences }: IncomingCall & { readonly context: string | readonly string[] },
  now: number,
): TransactionContext {
  try {
    return ports.codec.decode(context, audiences, now);
  } catch (error) {
    refusedContexts.note(error);
    throw error;
  }
}

/** The answer to the caller has been given; carries the error of the handler. */
class AnsweredError extends Error {
  constructor(readonly original: unknown) {
    super(errorMessage(original));
  }
}

const isAnswered = (error: unknown): boolean => error instanceof AnsweredError;
const unwrap = (error: unknown): unknown => (error instanceof AnsweredError ? error.original : error);

/** A redelivered message whose work is still in the session is not worked on twice: it gets the first answer. */
async function joinOnce<T>(
  transactions: GlobalTransactions,
  transaction: ProcessTransaction,
  { isEvent = false }: IncomingCall,
  delivery: Delivery,
  work: Work<T>,
  answer: AnswerSink,
): Promise<T> {
  const { topic, partition, offset } = delivery;
  const place = JSON.stringify([topic, partition, offset]);
  const known = transaction.deliveries.get(place) as Promise<Remembered> | undefined;
  if (known) {
    const { value, headers } = await known;
    answer(headers);
    return value as T;
  }
  let headers: Readonly<Record<string, string>> = {};
  const first = joinHere(transactions, transaction, work, (given) => answer((headers = given)));
  const handled = isEvent ? tellJoined(transactions, transaction, delivery, first) : first;
  const remembered = handled.then((value): Remembered => ({ value, headers }));
  transaction.deliveries.set(place, remembered);
  remembered.catch(() => transaction.deliveries.delete(place)); // undone: the repeat works anew
  return handled;
}

/** Gives the sender of a message without a reply its proof, or aborts its transaction. */
async function tellJoined<T>(
  transactions: GlobalTransactions,
  transaction: Pick<ProcessTransaction, 'transactionId' | 'leftMs' | 'invitation'>,
  delivery: Delivery,
  work: Promise<T>,
): Promise<T> {
  const { transactionId, invitation } = transaction;
  const { participant } = transactions.settings;
  try {
    const value = await work;
    const branchId = joinedMarkerId(transactionId, participant, delivery);
    const marker = { participant, branchId, vote: 'read-only' } as const;
    await transactions.ports.coordinators.enlist(transactionId, marker, invitation);
    return value;
  } catch (error) {
    transactions.failedEvents.note(transaction, doomOf(unwrap(error), participant));
    transactions.abandon(transaction);
    throw error;
  }
}

async function joinHere<T>(
  transactions: GlobalTransactions,
  transaction: ProcessTransaction,
  work: Work<T>,
  answer: AnswerSink,
  isNamed = false,
): Promise<T> {
  const scope = new TransactionScope(transaction, undefined, true);
  const settled = await transactions.settle(scope, work, isNamed);
  try {
    if (settled.type === 'failed') {
      if (settled.isUndone) {
        transaction.hooks.takeUndone(scope.hooks);
        await endUndone(transactions, transaction);
      }
      throw settled.error;
    }
    transaction.noteKept();
    await consumersJoined(transaction, transactions.ports);
    if (!transaction.isActive) await transaction.prepareUnaddressable();
    transaction.refuseDoomed();
    transaction.hooks.take(scope.hooks);
    answer(answerHeaders(await proofOf(transaction, isNamed)));
    return settled.value;
  } catch (error) {
    const isUndone = settled.type === 'failed' && settled.isUndone && error === settled.error;
    if (!isUndone) {
      transaction.hooks.take(scope.hooks);
      transaction.doom(doomOf(error, transaction.participant));
      // Also when the answer gets lost, or its caller handles the error: this work must not be committed in part.
      transactions.abandon(transaction, transaction.named());
    }
    const code = error instanceof RollbackOnlyError ? error.doom.code : codeOf(error, 'METHOD_FAILED');
    // Nothing of it can be committed: its locks need not wait for the coordinators, which may not know the branch.
    if (!transaction.isActive && (!isUndone || isTooLate(error))) void transaction.rollBack(code, errorMessage(error));
    answer(answerHeaders({ type: 'failed', code, participant: transaction.participant, isUndone }));
    throw new AnsweredError(error);
  } finally {
    if (!transaction.isActive) void leave(transactions, transaction);
  }
}

/**
 * The last method here was undone. Work of others that ended beside it is prepared where it was to wait for this end.
 * Without any, a session that no coordinator knows would wait for its deadline, so it ends now; a later call has a new
 * one.
 *
 * @throws RollbackOnlyError when the work of the others cannot be prepared
 */
async function endUndone(transactions: GlobalTransactions, transaction: ProcessTransaction): Promise<void> {
  if (transaction.isActive) return;
  if (transaction.hasKept) return transaction.prepareUnaddressable();
  if (!transaction.leaveUnenlisted()) return;
  transactions.forget(transaction);
  void transaction.rollBack('METHOD_FAILED', 'all methods of the transaction in this process were undone');
}

/** The branches that have joined, with those that the caller is to name. */
async function proofOf(transaction: ProcessTransaction, isNamed: boolean): Promise<JoiningAnswer> {
  const { ownBranch, branchesElsewhere } = transaction;
  const branches = [...(ownBranch === undefined ? [] : [ownBranch]), ...branchesElsewhere];
  const unlisted = isNamed ? transaction.named() : [];
  if (unlisted.length <= MAXIMUM_UNLISTED) return { type: 'joined', branches, unlisted };
  await transaction.enlisted();
  return { type: 'joined', branches };
}

/** No method runs here any more: forgets the transaction once its session has ended, and calls its hooks. */
async function leave(transactions: GlobalTransactions, transaction: ProcessTransaction): Promise<void> {
  if (transaction.isWatched) return;
  transaction.isWatched = true;
  const { logger } = transactions.ports;
  try {
    const end = await transaction.sessionEnd();
    if (transaction.isActive && end === undefined) return;
    transactions.forget(transaction);
    if (transaction.hooks.isEmpty) return;
    const outcome = await outcomeFor(transactions, transaction, end);
    await transactions.suspend(() => transaction.hooks.run(outcome, transaction.transactionId, logger));
  } catch (error) {
    logger.warn(`the hooks of transaction ${transaction.transactionId} were not called: ${errorMessage(error)}`);
  } finally {
    transaction.isWatched = false;
  }
}

/** A branch that was left because its work was undone says nothing of the others, and needs no more than an end. */
async function outcomeFor(
  transactions: GlobalTransactions,
  transaction: ProcessTransaction,
  end: Awaited<ReturnType<ProcessTransaction['sessionEnd']>>,
): Promise<GlobalOutcome> {
  if (end === 'aborted' && !transaction.isLeft) return 'aborted';
  try {
    return (await transactions.ask(transaction, false)).outcome;
  } catch (error) {
    if (transaction.isLeft) return 'aborted'; // which it is for each of its hooks
    throw error;
  }
}
