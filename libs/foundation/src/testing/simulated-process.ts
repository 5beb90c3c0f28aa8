import type { Clock, Timer } from '../clock.js';

/** The process was not there when it was called: nothing has happened. */
export class ConnectionRefusedError extends Error {
  override readonly name = 'ConnectionRefusedError';
}

/** The process died, or was cut off, while it worked for the caller: anything may have happened. */
export class ConnectionLostError extends Error {
  override readonly name = 'ConnectionLostError';
}

export interface SimulatedProcessOptions {
  /** called before each input: a checker looks at the process as it was */
  readonly onActivity?: () => void;
  /** after a pause all that has waited comes in without time passing; otherwise other things happen in between */
  readonly resumesAtOnce?: boolean;
}

interface Input {
  readonly action: () => void;
  readonly lost: (() => void) | undefined;
}

/**
 * One process of a simulated system, as the operating system sees it: everything that wakes its code (timers,
 * messages, answers of a disk or a database) comes through here, so that it can be stopped and killed. It is the
 * clock of its own code.
 *
 * States: running → paused (inputs wait) → resuming (they come in one by one, in their order) → running; any →
 * dead (nothing of it runs ever again).
 */
export class SimulatedProcess implements Clock {
  private state: 'running' | 'paused' | 'resuming' | 'dead' = 'running';
  private held: Input[] = [];
  private readonly callers = new Set<() => void>();
  private readonly deathWatchers = new Set<() => void>();

  /** @param machine the clock of the machine on which it runs */
  constructor(
    readonly name: string,
    private readonly machine: Clock,
    private readonly options: SimulatedProcessOptions = {},
  ) {}

  get isAlive(): boolean {
    return this.state !== 'dead';
  }

  get isPaused(): boolean {
    return this.state === 'paused';
  }

  now(): number {
    return this.machine.now();
  }

  /** Goes on while the process is paused. */
  monotonic(): number {
    return this.machine.monotonic();
  }

  setTimer(delayMs: number, action: () => void): Timer {
    let cancelled = false;
    const timer = this.machine.setTimer(delayMs, () => {
      this.enter(() => {
        if (!cancelled) action();
      });
    });
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  /**
   * Runs an input of the process: now, or when it is awake again, or never.
   *
   * @param lost called instead when the process ends before it gets to it
   */
  enter(action: () => void, lost?: () => void): void {
    if (this.state === 'running') this.run(action);
    else if (this.state === 'dead') lost?.();
    else this.held.push({ action, lost });
  }

  /** An answer that the process waits for: it hears of it when it is awake. */
  hear<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      answer.then(
        (value) => this.enter(() => resolve(value)),
        (error: Error) => this.enter(() => reject(error)),
      );
    });
  }

  /** A call from outside. @throws ConnectionRefusedError, ConnectionLostError, or what the process answers */
  call<T>(action: () => Promise<T>): Promise<T> {
    if (!this.isAlive) return Promise.reject(new ConnectionRefusedError(`${this.name} is down`));
    return new Promise((resolve, reject) => {
      const lost = (): void => reject(new ConnectionLostError(`${this.name} died`));
      this.callers.add(lost);
      const settle = (how: () => void): void => {
        this.enter(() => {
          this.callers.delete(lost);
          how();
        });
      };
      this.enter(() => {
        action().then(
          (value) => settle(() => resolve(value)),
          (error: Error) => settle(() => reject(error)),
        );
      });
    });
  }

  /** SIGSTOP. */
  pause(): void {
    if (this.state === 'running') this.state = 'paused';
  }

  /** SIGCONT. */
  resume(): void {
    if (this.state !== 'paused') return;
    this.state = 'resuming';
    this.drain();
  }

  /** kill -9. */
  kill(): void {
    if (!this.isAlive) return;
    this.state = 'dead';
    for (const { lost } of this.held.splice(0)) lost?.();
    for (const lost of this.callers) lost();
    for (const tell of this.deathWatchers) tell();
  }

  /** The function returned ends it. */
  onDeath(watcher: () => void): () => void {
    this.deathWatchers.add(watcher);
    return () => void this.deathWatchers.delete(watcher);
  }

  private drain(): void {
    while (this.state === 'resuming') {
      const next = this.held.shift();
      if (!next) {
        this.state = 'running';
        return;
      }
      this.run(next.action);
      if (!this.options.resumesAtOnce) return void this.machine.setTimer(0, () => this.drain());
    }
  }

  private run(action: () => void): void {
    this.options.onActivity?.();
    action();
  }
}
