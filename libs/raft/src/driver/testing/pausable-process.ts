import type { Clock, Timer } from '@concordat/foundation';
import type { Message } from '../../core/types.js';
import type { RaftTransport } from '../ports.js';

/**
 * A process that can be stopped and continued, as by SIGSTOP and SIGCONT: meanwhile its timers and messages wait,
 * but its clocks go on. On `resume` everything that waited happens at once, in its order.
 */
export class PausableProcess {
  readonly clock: Clock;
  private isPaused = false;
  private held: (() => void)[] = [];

  constructor(private readonly machine: Clock) {
    this.clock = {
      now: () => machine.now(),
      monotonic: () => machine.monotonic(),
      setTimer: (delayMs, action) => this.setTimer(delayMs, action),
    };
  }

  /** The same transport, which brings messages only while the process runs. */
  transport(inner: RaftTransport): RaftTransport {
    return {
      ...inner,
      start: (onMessage) => inner.start((message: Message) => this.runOrHold(() => onMessage(message))),
    };
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    const { held } = this;
    this.held = [];
    for (const action of held) action();
  }

  private setTimer(delayMs: number, action: () => void): Timer {
    let isCancelled = false;
    const timer = this.machine.setTimer(delayMs, () =>
      this.runOrHold(() => {
        if (!isCancelled) action();
      }),
    );
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  private runOrHold(action: () => void): void {
    if (this.isPaused) this.held.push(action);
    else action();
  }
}
