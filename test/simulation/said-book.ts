import { isDeepStrictEqual } from 'node:util';
import { canonicalJson, isExactText, type JsonValue } from '@concordat/foundation';
import {
  LIMITS,
  type BranchError,
  type LogRecord,
  type OperationCall,
  type ProtocolMessage,
  type TransactionState,
} from '@concordat/commit-protocol';
import { expectedResult, oddityOf, refusalOf, type OddityKind } from './odd-work.js';

/** Why a branch may vote no whatever its handlers return and throw. */
const USUAL_REFUSALS: ReadonlySet<string> = new Set([
  'INSUFFICIENT_FUNDS',
  'LOCK_TIMEOUT',
  'DATABASE_ERROR',
  'DATABASE_TIMEOUT',
  'DEADLINE_EXCEEDED',
  'BRANCH_ABORTED',
  'ABORTED_BY_PARTICIPANT',
  'NOT_PREPARED',
]);
/** The same for a branch that a process holds, whose method has failed; the others only where something has gone wrong. */
const HELD_FAILURE = 'HANDLER_FAILED';
const HELD_LOSSES: ReadonlySet<string> = new Set(['SESSION_LOST', 'INSTANCE_GONE', 'DATABASE_CONNECTION_LOST']);
const HANGING: ReadonlySet<OddityKind | undefined> = new Set<OddityKind>(['hangs', 'settles-late']);
/** Without faults a `no` is on its way, and in the log, in less. */
const TOLD_WITHIN_MS = 500;
/** After the deadline: the grace of the handlers, a sweep, and what is sent again meanwhile. */
const ENDS_LATE_MS = 5_000;

/**
 * What participants say, against what their handlers did: whoever refused is told, with the true reason; what commits
 * has results that can be told; and nothing is ever said that cannot be sent.
 */
export class SaidBook {
  /** how requests with an odd operation ended */
  readonly counts: Record<string, number> = {};
  private readonly operations = new Map<string, readonly OperationCall[]>();
  private readonly refusedAt = new Map<string, number>();
  private calm = false;

  constructor(
    private readonly violate: (rule: string) => void,
    private readonly time: () => number,
  ) {}

  expectCalm(): void {
    this.calm = true;
  }

  /** What a participant has been handed. */
  received(message: ProtocolMessage): void {
    if (message.type !== 'prepare' && message.type !== 'commit-one-phase') return;
    this.operations.set(message.branchId, message.operations);
  }

  /** What a participant says. */
  replied(message: ProtocolMessage): void {
    if (message.type !== 'vote' && message.type !== 'done') return;
    const { branchId, participant, error } = message;
    if (message.type === 'vote' ? message.vote !== 'no' : message.end !== 'aborted') return;
    if (!this.refusedAt.has(branchId)) this.refusedAt.set(branchId, this.time());
    const operations = this.operations.get(branchId);
    if (error && operations) this.judgeReason(`${participant} refuses ${branchId}`, operations, error);
  }

  /** Whether a handler of one of these branches keeps it from voting: to the others the coordinators then seem dead. */
  hasHung(branchIds: Iterable<string>): boolean {
    const hangs = (call: OperationCall): boolean => HANGING.has(oddityOf(call)?.kind);
    return [...branchIds].some((branchId) => this.operations.get(branchId)?.some(hangs));
  }

  /** A request was refused, and nothing has begun. */
  refusedBefore(code: string): void {
    this.count(code);
  }

  /** A bus was given what no message can be made of. */
  unsendable(sender: string, error: Error): void {
    this.violate(`${sender} says what cannot be sent: ${error.message.slice(0, 300)}`);
  }

  /** A database commits the work of a branch, with these results in its ledger. */
  committed(database: string, branchId: string, operations: readonly OperationCall[], results: readonly unknown[]) {
    const refusal = operations.map(refusalOf).find((code) => code !== undefined);
    if (refusal !== undefined) this.violate(`${database} commits ${branchId}, which is to be refused with ${refusal}`);
    if (operations.length > 0 && results.length !== operations.length)
      this.violate(`${database} commits ${branchId} with ${results.length} results of ${operations.length}`);
    if (!canBeTold(results)) this.violate(`${database} commits ${branchId} with results that cannot be told`);
  }

  /** The first decision on a transaction. */
  decided(record: LogRecord, { transactionId, branches, decision }: TransactionState): void {
    const isOdd = branches.some(({ operations }) => operations.some((call) => oddityOf(call) !== undefined));
    if (record.type !== 'decide') return;
    const { cause } = record;
    if (isOdd) this.count(decision === 'commit' ? 'committed' : (cause?.participantCode ?? cause?.reason ?? 'aborted'));
    if (!cause) return;
    const { reason, detail, participantCode: code, branchId } = cause;
    const refused = branches.find((branch) => branch.branchId === branchId);
    if (code !== undefined && refused) {
      this.judgeReason(`${transactionId} is aborted`, refused.operations, { code, message: detail });
      if ((code === 'INVALID_PAYLOAD') !== (reason === 'INVALID_PAYLOAD'))
        this.violate(`${transactionId} is aborted for ${reason}, its branch said ${code}`);
    }
    if (!this.calm || reason !== 'DEADLINE_EXCEEDED') return;
    for (const branch of branches) {
      const agoMs = this.time() - (this.refusedAt.get(branch.branchId) ?? Infinity);
      if (agoMs > TOLD_WITHIN_MS)
        this.violate(`${transactionId} is aborted at its deadline, ${branch.branchId} has refused ${agoMs} ms ago`);
    }
  }

  /** The end of a transaction is in the log. */
  ended(state: TransactionState): void {
    const { transactionId, deadline, endedAt = 0, branches, delegatedTo } = state;
    if (this.calm && endedAt > deadline + ENDS_LATE_MS)
      this.violate(`AC5: ${transactionId} ends ${endedAt - deadline} ms after its deadline`);
    for (const { branchId, operations, results, end } of branches) {
      if (end !== 'committed' || operations.length === 0) continue;
      if (branchId === delegatedTo && results?.length !== operations.length)
        this.violate(`${branchId} of ${transactionId} is committed, and its results were never told`);
      if (results?.length === operations.length) this.judgeResults(branchId, operations, results);
    }
  }

  private judgeResults(branchId: string, operations: readonly OperationCall[], results: readonly JsonValue[]): void {
    for (const [place, call] of operations.entries()) {
      const expected = expectedResult(call);
      if (expected === undefined || canonicalJson(expected) === canonicalJson(results[place]!)) continue;
      this.violate(`the log has another result of ${branchId} than its handler returned`);
    }
  }

  private judgeReason(what: string, operations: readonly OperationCall[], { code, message }: BranchError): void {
    const refusals = operations.map(refusalOf);
    // a process that was stopped may find that the time of any of its handlers is over
    const isUsual =
      USUAL_REFUSALS.has(code) || (code === 'HANDLER_TIMEOUT' && !this.calm) || this.isOfHeld(operations, code);
    if (!isUsual && !refusals.includes(code))
      this.violate(`${what} with ${code}, its handlers gave reason for ${refusals.join(', ')}`);
    if (message.length > LIMITS.errorMessageLength || !isExactText(message))
      this.violate(`${what} with a text of ${message.length} characters that cannot be told`);
  }

  private isOfHeld(operations: readonly OperationCall[], code: string): boolean {
    return operations.length === 0 && (code === HELD_FAILURE || (HELD_LOSSES.has(code) && !this.calm));
  }

  private count(ending: string): void {
    this.counts[ending] = (Object.hasOwn(this.counts, ending) ? this.counts[ending]! : 0) + 1;
  }
}

/** NUL or a half of a surrogate pair, as JSON escapes them; nothing else that it escapes looks like it. */
const INEXACT = /(?:^|[^\\])(?:\\\\)*\\u(?:0000|d[89a-f])/;

/** Whether every table, message and record can hold it. */
function canBeTold(results: readonly unknown[]): boolean {
  try {
    const text = JSON.stringify(results);
    if (Buffer.byteLength(text) > LIMITS.resultsBytes || INEXACT.test(text)) return false;
    return isDeepStrictEqual(JSON.parse(text), results);
  } catch {
    return false;
  }
}
