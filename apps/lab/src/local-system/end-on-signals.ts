import { errorMessage, guarded } from '@concordat/foundation';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What a shell shows for a command that Ctrl-C has ended. */
export const EXIT_INTERRUPTED = 130;

/** Aborts when this process is asked to end, instead of ending it, until it is released. */
export class EndOnSignals {
  private readonly controller = new AbortController();
  private readonly guardedAbort = guarded(() => this.controller.abort(), warnOfListener);

  constructor() {
    const { guardedAbort } = this;
    for (const name of SIGNALS) process.on(name, guardedAbort);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  release(): void {
    for (const name of SIGNALS) process.off(name, this.guardedAbort);
  }
}

export function warnOfListener(error: unknown): void {
  process.emitWarning(`a listener of the local system failed: ${errorMessage(error)}`);
}
