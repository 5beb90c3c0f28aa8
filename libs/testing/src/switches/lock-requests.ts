/** What clients ask of a lock. */
export const LOCK_REQUESTS = ['acquire', 'renew', 'release'] as const;

export type LockRequest = (typeof LOCK_REQUESTS)[number];
