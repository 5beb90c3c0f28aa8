import type { LockLease } from '@concordat/commit-protocol';
import type { LockSender } from './locks.api.js';

/**
 * Whether the sender may act for the holder of a lease. A lease without a principal was granted while nobody was asked, or
 * by a former release: owner and token are all that it is known by.
 */
export function mayActFor({ principal: holder }: Pick<LockLease, 'principal'>, sender: LockSender): boolean {
  return (
    sender.isForced === true || holder === undefined || sender.principal === undefined || holder === sender.principal
  );
}

/** Whether a request for a lock comes from its holder: the same owner, and the same principal. */
export function isHolder(
  lease: Pick<LockLease, 'owner' | 'principal'>,
  request: LockSender & { readonly owner: string },
) {
  return lease.owner === request.owner && mayActFor(lease, { principal: request.principal });
}
