import type { Clock, Timer, VirtualClock } from '@concordat/foundation';

/**
 * One life of a node's process: all inputs (timers, messages, finished writes) enter through `run`.
 *
 *     running <--pause, resume--> paused;  any --end--> ended
 *
 * A paused process gets everything later, in order, as after SIGSTOP. An ended one gets nothing.
 */
export class SimulatedProcess {
  private state: 'running' | 'paused' | 'ended' = 'running';
  private held: { readonly action: () => void; readonly lost: (() => void) | undefined }[] = [];

  /** @param onActivity called before each input, for checks of the node afterwards */
  constructor(private readonly onActivity: () => void) {}

  get isRunning(): boolean {
    return this.state === 'running';
  }

  get isEnded(): boolean {
    return this.state === 'ended';
  }

  /** @param lost called instead when the process ends first */
  run(action: () => void, lost?: () => void): void {
    if (this.state === 'ended') {
      lost?.();
      return;
    }
    if (this.state === 'paused') {
      this.held.push({ action, lost });
      return;
    }
    this.onActivity();
    action();
  }

  pause(): void {
    if (this.state === 'running') this.state = 'paused';
  }

  resume(): void {
    if (this.state !== 'paused') return;
    this.state = 'running';
    const { held } = this;
    this.held = [];
    for (const { action, lost } of held) this.run(action, lost);
  }

  end(): void {
    this.state = 'ended';
    const { held } = this;
    this.held = [];
    for (const { lost } of held) lost?.();
  }
}

/** The clock of one process, with a rate and a time of day of its own. */
export class DriftingClock implements Clock {
  private readonly startedAt: number;

  /** @param rate its milliseconds per true millisecond */
  constructor(
    private readonly truth: VirtualClock,
    private readonly process: SimulatedProcess,
    private readonly rate: number,
    private readonly offsetMs: number,
  ) {
    this.startedAt = truth.monotonic();
  }

  now(): number {
    return Math.floor(this.truth.now() + this.offsetMs);
  }

  /** Runs while the process is paused. */
  monotonic(): number {
    return this.offsetMs + (this.truth.monotonic() - this.startedAt) * this.rate;
  }

  setTimer(delayMs: number, action: () => void): Timer {
    let cancelled = false;
    const timer = this.truth.setTimer(Math.max(0, delayMs) / this.rate, () =>
      this.process.run(() => {
        if (!cancelled) action();
      }),
    );
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }
}
