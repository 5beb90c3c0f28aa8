import type { CodedError } from '@concordat/foundation';
import {
  judgeRuling,
  rulingState,
  type Refusal,
  type ResolveRecord,
  type RulingRefusal,
  type TransactionId,
  type TransactionState,
} from '@concordat/commit-protocol';
import type { DecisionLog } from '../../decision-log/decision-log.js';
import {
  BranchNotFoundError,
  RulingContradictsDecisionError,
  RulingNeedsForceError,
  RulingNotPossibleError,
} from '../errors.js';
import type { LeaderSession } from '../leadership/leader-session.js';
import type { ResolveRequest, RulingView } from '../transactions.api.js';
import type { UnknownOldBranches } from '../leadership/unknown-old-branches.js';
import { rulingView } from '../queries/view.js';

/** A ruling to propose, or why it would have no effect. */
export type Draft = { readonly record: ResolveRecord } | { readonly refusal: RulingRefusal | 'UNKNOWN_TRANSACTION' };

/**
 * Makes a record of an operator's ruling, or says why it has no effect. The state machine judges by the same function,
 * so a refused ruling is not logged. Call it after the leadership is confirmed.
 */
export function draftRuling(
  transactionId: TransactionId,
  request: ResolveRequest,
  { log, session, unknownOld, now }: DraftSources,
): Draft {
  const { idempotency, ...ruling } = request;
  const base = { type: 'resolve', transactionId, ...ruling, at: now, ...(idempotency && { idempotency }) } as const;
  const transaction = log.state.find(transactionId);
  if (!transaction) return draftOld({ ...base, reports: [] }, log, unknownOld);
  const { action } = request;
  const machine = action === 'forget' ? undefined : session.machineOf(transactionId);
  const reports = action === 'forget' ? [] : (machine?.reportsFor(action) ?? []);
  const judgement = judgeRuling(transaction, { ...request, reports, at: now });
  return judgement.refusal === undefined ? { record: { ...base, reports } } : { refusal: judgement.refusal };
}

export interface DraftSources {
  readonly log: DecisionLog;
  readonly session: LeaderSession;
  readonly unknownOld: UnknownOldBranches;
  readonly now: number;
}

/** Only a branch whose participant has asked can be ruled on: nobody else knows that it exists. */
function draftOld(record: ResolveRecord, { state }: DecisionLog, unknownOld: UnknownOldBranches): Draft {
  const { transactionId, branchId } = record;
  if (!state.mayHaveExpired(transactionId)) return { refusal: 'UNKNOWN_TRANSACTION' };
  const ruled = branchId === undefined ? undefined : state.oldRulings.get(branchId);
  const listed = branchId === undefined ? undefined : unknownOld.find(transactionId, branchId);
  const participant = listed?.participant ?? (ruled?.transactionId === transactionId ? ruled.participant : undefined);
  if (participant === undefined) return { refusal: 'UNKNOWN_TRANSACTION' };
  const refusal = state.oldRulings.judge(record);
  return refusal === undefined ? { record: { ...record, participant } } : { refusal };
}

export function appliedRulingView(record: ResolveRecord, transaction: TransactionState | undefined): RulingView {
  const recorded = transaction?.rulings?.at(-1);
  return recorded ? rulingView(recorded) : { ...rulingView(rulingState(record, 'decided')), effect: 'unknown-old' };
}

/** The ruling that answered an earlier request with the same key. */
export function claimedRuling(
  { claims, rulings }: TransactionState,
  { idempotency }: ResolveRequest,
): RulingView | null {
  const place = claims.find(({ key }) => key === idempotency?.key)?.ruling;
  const ruling = place === undefined ? undefined : rulings?.[place];
  return ruling ? rulingView(ruling) : null;
}

/** The error for a refusal, unless there was simply nothing to do. */
export function refusalError(
  refusal: Exclude<Refusal, 'NOTHING_TO_DO'>,
  { action, branchId }: ResolveRequest,
): CodedError {
  switch (refusal) {
    case 'BRANCH_UNKNOWN':
      return new BranchNotFoundError(`the transaction has no branch ${branchId}`);
    case 'CONTRADICTS_DECISION':
      return new RulingContradictsDecisionError(
        'the decision of a transaction never changes; with "force" and a "branchId" one branch that is in doubt can ' +
          'be ended against it',
      );
    case 'BRANCH_NEEDED':
      return new RulingContradictsDecisionError(
        'the decision of a transaction never changes, even by force; name the one branch that is to be ended against it',
      );
    case 'NEEDS_FORCE':
      return new RulingNeedsForceError(
        action === 'forget'
          ? 'a branch has not answered: it may still hold a prepared transaction, or have committed by itself; "force" ' +
              'confirms that it is given up'
          : 'the client has not asked for the commit; "force" confirms that the branches are complete',
      );
    default:
      return new RulingNotPossibleError(IMPOSSIBLE[refusal] ?? `the log refused the ruling: ${refusal}`);
  }
}

const IMPOSSIBLE: Partial<Record<Refusal, string>> = {
  UNDECIDED: 'the transaction is not decided yet; rule to abort it',
  WHOLE_TRANSACTION: 'the transaction is not decided yet, and it is decided as a whole; leave out "branchId"',
  DELEGATED:
    'the transaction has one branch, to which its decision is left; it ends when its participant answers, and ' +
    'can be given up ("forget" by force) once its deadline has passed',
  BEFORE_DEADLINE:
    'the transaction has one branch, to which its decision is left and which may still be at work; it can be given up ' +
    'by force once its deadline has passed',
  BALLOT: 'the branches of a three-phase transaction decide by ballots; only they can end it',
  VOTES_MISSING: 'not every branch has voted yes, and a ruling cannot replace a vote',
  NOT_IN_DOUBT: 'the branch holds nothing: it has not voted yes, has ended, or is forgotten',
  RULED_OTHERWISE: 'the branch was ruled to end against the decision, and that cannot be taken back',
  TOO_MANY_RULINGS: 'the transaction has been ruled on too often',
};
