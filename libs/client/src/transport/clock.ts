/** A pending timer; `cancel` is idempotent. */
export interface ClientTimer {
  cancel(): void;
}

/** Time as a port, so that tests can move it. Durations only: the client never reads the wall clock. */
export interface ClientClock {
  /** milliseconds from an arbitrary start, never backwards */
  monotonic(): number;
  /** runs `action` once after at least `delayMs`; never synchronously */
  setTimer(delayMs: number, action: () => void): ClientTimer;
}

export const platformClock: ClientClock = {
  monotonic: () => performance.now(),
  setTimer(delayMs, action) {
    const handle = setTimeout(action, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};
