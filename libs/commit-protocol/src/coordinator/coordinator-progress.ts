import { invariant } from '@concordat/foundation';
import type { TransactionState } from '../log/transaction-state.js';
import type { DoneMessage } from '../vocabulary/messages.js';

/** Branches may still join. */
export interface Open {
  readonly phase: 'open';
  readonly isCommitWanted: boolean;
}

/** Closed; votes are awaited. No work is sent before the keys of the transaction are free. */
export interface Voting {
  readonly phase: 'voting';
  readonly isAdmitted: boolean;
}

/** Closed; its only branch decides, and nobody else (protocol 4.7). */
export interface Delegated {
  readonly phase: 'delegated';
  readonly isAdmitted: boolean;
  /** what the branch has said last; it may not have come into the log yet */
  readonly said: DoneMessage | undefined;
}

/** In three phases: a ballot is in the log, of this leader or of one before, and only a majority decides. */
export interface Balloting {
  readonly phase: 'balloting';
}

/** Undecided, with nothing of it on its way into the log. */
export type Undecided = Open | Voting | Delegated | Balloting;

/** A record is on its way into the log; `from` is where the transaction stands if the log does not take it. */
export type Proposing =
  | { readonly phase: 'closing'; readonly from: Open }
  | { readonly phase: 'pre-committing'; readonly from: Voting | Balloting }
  | { readonly phase: 'deciding'; readonly from: Undecided };

export type Decided =
  /** a leader before has decided it, and this one has told nobody yet */
  | { readonly phase: 'decided' }
  /** the decision is sent until every branch has ended by it */
  | {
      readonly phase: 'telling';
      /** how often the decision was sent again */
      readonly attempt: number;
      /** branches that were told an operator's ruling in its place */
      readonly rulingsTold: number;
    };

/**
 * Where a leader stands with a transaction.
 *
 *     open --commit--> closing --applied--> voting or delegated
 *     voting --all votes, or reason to abort--> deciding --applied--> telling
 *     delegated --its branch has ended--> deciding
 *     voting --in three phases, all votes--> pre-committing --applied--> balloting --majority--> deciding
 *     balloting --outbid, or the ballot of a leader before--> pre-committing
 *     open --reason to abort--> deciding;  any --decided by somebody else--> telling
 *     closing, pre-committing, deciding --the log did not take it--> where it came from
 */
export type Progress = Undecided | Proposing | Decided;

/** Where an undecided transaction stands by the log alone. */
export function undecidedIn({ preCommit, closed, delegatedTo }: TransactionState): Undecided {
  if (preCommit) return { phase: 'balloting' };
  if (!closed) return { phase: 'open', isCommitWanted: false };
  if (delegatedTo !== undefined) return { phase: 'delegated', isAdmitted: false, said: undefined };
  return { phase: 'voting', isAdmitted: false };
}

/** Where a leader begins with a transaction that it finds in the log, or puts there. */
export function progressOf(transaction: TransactionState): Undecided | Decided {
  return transaction.decision ? { phase: 'decided' } : undecidedIn(transaction);
}

/** Where an undecided transaction stands after a record about it was applied, which may have closed it. */
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

/** Its keys are free: work may be sent. */
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

/** The phase that a transaction goes back to if the log does not take what is proposed. */
export function undecidedPhase(progress: Progress): Undecided | Decided {
  return 'from' in progress ? progress.from : progress;
}

/** When it was told what was applied, a leader stands where the log says. */
export function checkProgress(progress: Progress, transaction: TransactionState): void {
  const { phase } = undecidedPhase(progress);
  const inLog = progressOf(transaction).phase;
  invariant(
    phase === inLog || (phase === 'telling' && inLog === 'decided'),
    `a transaction that is ${inLog} in the log is so for its leader`,
  );
}
