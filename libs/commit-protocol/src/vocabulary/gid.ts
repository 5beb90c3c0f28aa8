import { invariant, isUuid } from '@concordat/foundation';
import { LIMITS } from './limits.js';
import type { BranchId, TransactionId } from './types.js';

const PREFIX = 'concordat';
const CLUSTER = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Whether a string can be a cluster name in gids: at most 63 lower-case letters, digits and hyphens. */
export function isClusterName(value: string): boolean {
  return CLUSTER.test(value);
}

/** The global identifier under which a branch is prepared: `concordat:<cluster>:<transactionId>:<branchId>`. */
export function formatGid(cluster: string, transactionId: TransactionId, branchId: BranchId): string {
  invariant(isClusterName(cluster), 'a gid names a valid cluster');
  invariant(isUuid(transactionId) && isUuid(branchId), 'a gid is made of UUIDs');
  const gid = `${PREFIX}:${cluster}:${transactionId}:${branchId}`;
  invariant(gid.length <= LIMITS.gidLength, 'a gid fits into what PostgreSQL accepts');
  return gid;
}

/** The parts of a gid. */
export interface Gid {
  readonly cluster: string;
  readonly transactionId: TransactionId;
  readonly branchId: BranchId;
}

/**
 * Parses a gid of any cluster: the caller must compare the cluster. Undefined for other names, which are not
 * Concordat's and must be left alone.
 */
export function parseGid(gid: string): Gid | undefined {
  const parts = gid.split(':');
  if (parts.length !== 4 || parts[0] !== PREFIX) return undefined;
  const [, cluster, transactionId, branchId] = parts as [string, string, string, string];
  if (!isClusterName(cluster) || !isUuid(transactionId) || !isUuid(branchId)) return undefined;
  return { cluster, transactionId, branchId };
}
