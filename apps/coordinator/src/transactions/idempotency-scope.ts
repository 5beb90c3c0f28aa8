/**
 * The key under which a request of a principal is known in the log. Keys of two principals are never the same, nor is a
 * key that came without authentication: what clients send has no space (`parseIdempotency`).
 */
export function scopedKey(key: string, principal: string | undefined): string {
  return principal === undefined ? key : `${key} ${principal}`;
}

/** The key as its client sent it. */
export function sentKey(scoped: string): string {
  const end = scoped.indexOf(' ');
  return end < 0 ? scoped : scoped.slice(0, end);
}
