import { formatGid } from '@concordat/commit-protocol';
import type { BranchView, TransactionView } from 'concordat/embedded';

/** A branch that has not ended, or not as it was decided. */
export interface OpenBranch {
  readonly branchId: string;
  readonly participant: string;
  readonly state: BranchView['state'];
  /** of the prepared transaction, if there is one, in the participant's database */
  readonly gid: string;
  /** open streams of the participant: 0 means that none of its processes is connected */
  readonly streams: number;
}

/** A transaction that has not ended, or whose branches ended differently. */
export interface OpenTransaction {
  readonly id: string;
  readonly status: TransactionView['status'];
  readonly decision: TransactionView['decision'];
  readonly deadline: string;
  readonly branches: readonly OpenBranch[];
}

/** A prepared transaction that a database holds. */
export interface PreparedTransaction {
  /** as the databases were named */
  readonly database: string;
  readonly gid: string;
  readonly ageMs: number;
}

const ENDED: ReadonlySet<BranchView['state']> = new Set(['committed', 'aborted', 'read-only', 'forgotten', 'refused']);

/** Undefined for one that has ended as it was decided. */
export function openTransaction(
  transaction: TransactionView,
  cluster: string,
  streams: ReadonlyMap<string, number>,
): OpenTransaction | undefined {
  const { id, status, decision, deadline, endedAt } = transaction;
  if (endedAt !== null && status !== 'mixed') return undefined;
  const branches = transaction.branches
    .filter(({ state }) => !ENDED.has(state))
    .map(({ branchId, participant, state }) => ({
      branchId,
      participant,
      state,
      gid: formatGid(cluster, id, branchId),
      streams: streams.get(participant) ?? 0,
    }));
  return { id, status, decision, deadline, branches };
}

/** For people: each transaction and each of its branches on a line of its own. */
export function describeOpen(
  transactions: readonly OpenTransaction[],
  prepared: readonly PreparedTransaction[],
): string {
  const lines = transactions.flatMap(({ id, status, decision, deadline, branches }) => [
    `  transaction ${id} is ${status}, ${decision === null ? `undecided, its deadline is ${deadline}` : `decided to ${decision}`}`,
    ...branches.map((branch) => `    ${describeBranch(branch)}`),
  ]);
  const held = prepared.map(
    ({ database, gid, ageMs }) => `  the database ${database} holds ${gid}, prepared ${Math.round(ageMs)} ms ago`,
  );
  return [...lines, ...held].join('\n');
}

function describeBranch({ branchId, participant, state, gid, streams }: OpenBranch): string {
  const connected = streams === 0 ? `no process of ${participant} is connected` : `${streams} processes connected`;
  return `branch ${branchId} of ${participant} is ${state} (gid ${gid}; ${connected})`;
}
