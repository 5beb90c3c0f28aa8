import { invariant } from '@concordat/foundation';
import type { TransactionState } from '../log/transaction-state.js';
import type { DoneMessage } from '../vocabulary/messages.js';

/** Branches may still join. */
export interface Open {
  readonly phase: 'open';
  readonly isCommitWanted: boolean;
}

/** Closed; votes are awaited. Work is sent once the keys of the transaction are free. */
export interface Voting {
  readonly phase: 'voting';
  readonly isAdmitted: boolean;
}

/** Closed; its only branch decides (protocol 4.7). */
export interface Delegated {
  readonly phase: 'delegated';
  readonly isAdmitted: boolean;
  /** the latest answer of the branch; it may not be in the log yet */
  readonly latestDone: DoneMessage | undefined;
}

/** In three phases: a ballot of this leader or an earlier one is in the log, and only a majority decides. */
export interface Balloting {
  readonly phase: 'balloting';
}

/** Undecided, with no proposal in flight. */
export type Undecided = Open | Voting | Delegated | Balloting;

/** A proposal is in flight; `from` is the phase to return to if the log refuses it. */
export type Proposing =
  | { readonly phase: 'closing'; readonly from: Open }
  | { readonly phase: 'pre-committing'; readonly from: Voting | Balloting }
  | { readonly phase: 'deciding'; readonly from: Undecided };

export type Decided =
  /** an earlier leader decided it, and this leader has not sent the decision yet */
  | { readonly phase: 'decided' }
  /** the decision is sent until every branch has ended by it */
  | {
      readonly phase: 'telling';
      /** number of resends of the decision */
      readonly attempt: number;
      /** branches that got an operator's ruling instead */
      readonly rulingsSent: number;
    };

/**
 * The phase of a transaction on the leader.
 *
 *     open --commit--> closing --applied--> voting or delegated
 *     voting --all votes, or reason to abort--> deciding --applied--> telling
 *     delegated --its branch has ended--> deciding
 *     voting --in three phases, all votes--> pre-committing --applied--> balloting --majority--> deciding
 *     balloting --outbid, or the ballot of an earlier leader--> pre-committing
 *     open --reason to abort--> deciding;  any --decided by another record--> telling
 *     closing, pre-committing, deciding --the log refused it--> the phase before
 */
export type Progress = Undecided | Proposing | Decided;

/** The phase of an undecided transaction by the log alone. */
export function undecidedIn({ preCommit, closed, delegatedTo }: TransactionState): Undecided {
  if (preCommit) return { phase: 'balloting' };
  if (!closed) return { phase: 'open', isCommitWanted: false };
  if (delegatedTo !== undefined) return { phase: 'delegated', isAdmitted: false, latestDone: undefined };
  return { phase: 'voting', isAdmitted: false };
}

/** The phase in which a leader begins with a transaction from the log, or a new one. */
export function progressOf(transaction: TransactionState): Undecided | Decided {
  return transaction.decision ? { phase: 'decided' } : undecidedIn(transaction);
}

/** The phase of an undecided transaction after an applied record, which may have closed it. */
export function follow(progress: Progress, transaction: TransactionState): Progress {
  const next = undecidedIn(transaction);
  switch (progress.phase) {
    case 'closing':
      return transaction.closed ? next : progress;
    case 'deciding':
      return next.phase === progress.from.phase ? progress : { phase: 'deciding', from: next };
    case 'pre-committing':
      return progress;
    default:
      return next.phase === progress.phase ? progress : next;
  }
}

export function admit(progress: Progress): Progress {
  switch (progress.phase) {
    case 'voting':
    case 'delegated':
      return { ...progress, isAdmitted: true };
    case 'pre-committing':
      return { phase: 'pre-committing', from: admitted(progress.from) };
    case 'deciding':
      return { phase: 'deciding', from: admitted(progress.from) };
    default:
      return progress;
  }
}

function admitted<From extends Undecided>(from: From): From {
  return 'isAdmitted' in from ? { ...from, isAdmitted: true } : from;
}

/** The phase to return to if the log refuses the proposal in flight. */
export function undecidedPhase(progress: Progress): Undecided | Decided {
  return 'from' in progress ? progress.from : progress;
}

/** A vote of a branch counts. */
export function takesVotes(progress: Progress): boolean {
  return mayBeGivenUp(progress) || progress.phase === 'pre-committing';
}

/** Nobody can have proposed the commit yet, and no decision is in flight. */
export function mayBeGivenUp({ phase }: Progress): boolean {
  return phase === 'open' || phase === 'closing' || phase === 'voting';
}

/** Checks that the phase agrees with the log, after the leader has handled what was applied. */
export function checkProgress(progress: Progress, transaction: TransactionState): void {
  const { phase } = undecidedPhase(progress);
  const inLog = progressOf(transaction).phase;
  invariant(
    phase === inLog || (phase === 'telling' && inLog === 'decided'),
    `a transaction that is ${inLog} in the log is ${inLog} for its leader`,
  );
}
