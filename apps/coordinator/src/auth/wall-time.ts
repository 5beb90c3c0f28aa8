/** The moment, in milliseconds since 1970: whether a credential is valid now, and when something was audited. */
export function wallTime(): number {
  return Date.now();
}
