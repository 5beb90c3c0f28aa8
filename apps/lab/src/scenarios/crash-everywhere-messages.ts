import { randomUUID } from 'node:crypto';

/** Fields of a message beside version and cluster. */
export type WireMessage = Readonly<Record<string, unknown>>;

/** A branch of a transaction that never was, at the participant that is to pass a crash point. */
interface StrangeBranch {
  readonly transactionId: string;
  readonly branchId: string;
  readonly participant: string;
  /** all branches of the transaction, this one too */
  readonly acceptors: readonly { readonly branchId: string; readonly participant: string }[];
}

function strangeBranch(transactionId: string, participant: string): StrangeBranch {
  const branchId = randomUUID();
  const others = ['elsewhere-1', 'elsewhere-2'].map((name) => ({ branchId: randomUUID(), participant: name }));
  return { transactionId, branchId, participant, acceptors: [{ branchId, participant }, ...others] };
}

/** Coordinators ask for a promise, in the first round in which they ask for any. */
function ballotRequest(branch: StrangeBranch): WireMessage {
  return { type: 'ballot-request', ...branch, request: { type: 'promise', ballot: { round: 1, proposer: 0 } } };
}

/** A ballot finds a branch that has never voted: the vote `no` goes on record with its promise. */
export function strangeBallot(transactionId: string, participant: string): readonly WireMessage[] {
  return [ballotRequest(strangeBranch(transactionId, participant))];
}

/** A ballot finds a branch that was told to abort: it has the row locked, changes nothing and tells the decision. */
export function ballotAfterAbort(transactionId: string, participant: string): readonly WireMessage[] {
  const { acceptors, ...branch } = strangeBranch(transactionId, participant);
  const decision = { type: 'decision', ...branch, decision: 'abort', attempt: 0 };
  return [decision, ballotRequest({ ...branch, acceptors })];
}

/**
 * A prepare in three phases comes again, to a process that remembers no vote: it looks for one in the database, and
 * votes no, because the deadline is over.
 *
 * @param term of the present leader; older ones are not listened to
 */
export function repeatedPrepare(transactionId: string, participant: string, term: number): readonly WireMessage[] {
  const branch = strangeBranch(transactionId, participant);
  const epoch = { term, index: 0 };
  return [{ type: 'prepare', ...branch, protocol: '3pc', operations: [], deadline: 1, attempt: 1, epoch }];
}

/** A ruling about a branch that never was: it ends as aborted, with a tombstone. */
export function strangeRuling(transactionId: string, participant: string): readonly WireMessage[] {
  return [{ type: 'ruling', transactionId, branchId: randomUUID(), participant, ruling: 'abort', attempt: 0 }];
}

/** Nobody knows the transaction, and it may be older than all that is remembered. */
export function unknownOld(transactionId: string, participant: string): readonly WireMessage[] {
  return [{ type: 'unknown-old', transactionId, branchId: randomUUID(), participant }];
}
