import type { JsonValue } from '@concordat/foundation';
import { LIMITS } from '../vocabulary/limits.js';
import type { DoneMessage } from '../vocabulary/messages.js';
import type { Verdict } from './coordinator.types.js';
import type { BranchReport } from '../log/records.js';
import type { BranchState, TransactionState } from '../log/transaction-state.js';
import type { AbortCause, AbortReason, BranchError } from '../vocabulary/types.js';

/** A map, not an object: a participant's code may be called `constructor`. */
const REASON_BY_CODE: ReadonlyMap<string, AbortReason> = new Map([
  ['INVALID_PAYLOAD', 'INVALID_PAYLOAD'],
  ['LOCK_TIMEOUT', 'LOCK_TIMEOUT'],
  ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED'],
]);

/** The cause of the abort when a branch voted no. */
export function causeOfRefusal({ branchId, participant }: BranchState, error: BranchError | undefined): AbortCause {
  return {
    reason: (error && REASON_BY_CODE.get(error.code)) ?? 'PARTICIPANT_REFUSED',
    detail: error?.message ?? `${participant} refused`,
    branchId,
    participant,
    ...(error && { participantCode: error.code }),
  };
}

/** What a delegated branch has decided (protocol 4.7). */
export function verdictOfDelegated(branch: BranchState, { end, results, error }: DoneMessage, at: number): Verdict {
  const committed = end === 'committed' || end === 'read-only';
  const report: BranchReport = {
    branchId: branch.branchId,
    vote: committed ? (end === 'read-only' ? 'read-only' : 'yes') : 'no',
    ...(committed && results && results.length > 0 && { results }),
    ...(error && { error }),
  };
  const common = { reports: withinResultsLimit([report]), at, delegatedEnd: end };
  return committed
    ? { decision: 'commit', ...common }
    : { decision: 'abort', ...common, cause: causeOfRefusal(branch, error) };
}

/** Why a branch is refused in the name of the instance that held it. */
export function instanceGone(instance: string): BranchError {
  return {
    code: 'INSTANCE_GONE',
    message: `the process "${instance}" held the branch and is gone; repeat the transaction`,
  };
}

/** Why a transaction is aborted whose commit nobody will request. */
export function beginnerGone(participant: string, instance: string): AbortCause {
  const detail = `the process "${instance}" of ${participant} began the transaction and is gone; repeat the transaction`;
  return { reason: 'CLIENT_ABORTED', detail };
}

/** What the deadline found missing, as a sentence. */
export function describeMissing({ closed }: TransactionState, missing: readonly BranchState[]): string {
  if (!closed) return 'the commit was not requested before the deadline';
  return `no vote before the deadline from ${[...new Set(missing.map(({ participant }) => participant))].join(', ')}`;
}

/** A report without the handlers' results, which are of no use in an abort. */
export function withoutResults({ results: _results, ...report }: BranchReport): BranchReport {
  return report;
}

/** Votes with results of up to `LIMITS.resultsBytes` in total, in the order given; later ones lose their results. */
export function withinResultsLimit(reports: readonly BranchReport[]): readonly BranchReport[] {
  let remaining: number = LIMITS.resultsBytes;
  return reports.map((report) => {
    if (!report.results) return report;
    remaining -= jsonBytes(report.results);
    return remaining >= 0 ? report : withoutResults(report);
  });
}

/** Bytes of the JSON text in UTF-8. Half of a surrogate pair counts two of the four bytes of its character. */
function jsonBytes(value: readonly JsonValue[]): number {
  const text = JSON.stringify(value);
  let bytes = text.length;
  for (let place = 0; place < text.length; place++) {
    const unit = text.charCodeAt(place);
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1;
  }
  return bytes;
}
