import { randomUUID } from 'node:crypto';

/** Fields of a message beside version and cluster. */
export type WireMessage = Readonly<Record<string, unknown>>;

/** A branch of a transaction that never existed, at the participant that must pass a crash point. */
interface StrangeBranch {
  readonly transactionId: string;
  readonly branchId: string;
  readonly participant: string;
  /** all branches of the transaction, this one included */
  readonly acceptors: readonly { readonly branchId: string; readonly participant: string }[];
}

function strangeBranch(transactionId: string, participant: string): StrangeBranch {
  const branchId = randomUUID();
  const others = ['elsewhere-1', 'elsewhere-2'].map((name) => ({ branchId: randomUUID(), participant: name }));
  return { transactionId, branchId, participant, acceptors: [{ branchId, participant }, ...others] };
}

/** Coordinators ask for a promise, in the first round that needs one. */
function ballotRequest(branch: StrangeBranch): WireMessage {
  return { type: 'ballot-request', ...branch, request: { type: 'promise', ballot: { round: 1, proposer: 0 } } };
}

/** A ballot finds a branch that has never voted: the vote `no` is recorded with its promise. */
export function strangeBallot(transactionId: string, participant: string): readonly WireMessage[] {
  return [ballotRequest(strangeBranch(transactionId, participant))];
}

/** A ballot finds a branch that was aborted: it has the row locked, changes nothing and answers with the decision. */
export function ballotAfterAbort(transactionId: string, participant: string): readonly WireMessage[] {
  const { acceptors, ...branch } = strangeBranch(transactionId, participant);
  const decision = { type: 'decision', ...branch, decision: 'abort', attempt: 0 };
  return [decision, ballotRequest({ ...branch, acceptors })];
}

/**
 * A repeated prepare in three phases, for a process that remembers no vote: it reads the database, and votes no after
 * the deadline.
 *
 * @param term of the present leader; lower ones are dropped
 */
export function repeatedPrepare(transactionId: string, participant: string, term: number): readonly WireMessage[] {
  const branch = strangeBranch(transactionId, participant);
  const epoch = { term, index: 0 };
  return [{ type: 'prepare', ...branch, protocol: '3pc', operations: [], deadline: 1, attempt: 1, epoch }];
}

/** A ruling about a branch that never existed: it ends as aborted, with a tombstone. */
export function strangeRuling(transactionId: string, participant: string): readonly WireMessage[] {
  return [{ type: 'ruling', transactionId, branchId: randomUUID(), participant, ruling: 'abort', attempt: 0 }];
}

/** The transaction is unknown, and may be older than the retention. */
export function unknownOld(transactionId: string, participant: string): readonly WireMessage[] {
  return [{ type: 'unknown-old', transactionId, branchId: randomUUID(), participant }];
}
