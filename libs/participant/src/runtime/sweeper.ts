import { errorMessage, withTimeLimit, type Clock, type Logger, type Timer } from '@concordat/foundation';
import type { PreparedBranch } from './resource-manager.js';

/** A hanging resource manager must not end all sweeps. */
const LIST_LIMIT_MS = 60_000;

export interface SweeperOptions {
  readonly intervalMs: number;
  /** younger branches do not inquire, except after `inquireAll`; in milliseconds */
  readonly thresholdMs: number;
  /** maximum inquiries per sweep; the rest waits for the next one */
  readonly maximumInquiries: number;
}

export interface SweeperPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  listPrepared(): Promise<readonly PreparedBranch[]>;
  inquire(branch: PreparedBranch): void;
  /** called after every sweep with the branches at its begin, at the monotonic time `asOf` */
  observe(prepared: readonly PreparedBranch[], oldestAgeMs: number, asOf: number): void;
}

/**
 * Finds branches that wait for a decision (protocol section 5) and inquires about them. It never ends a branch: only an
 * answer does, at any age.
 *
 * States: stopped → sweeping ⇄ waiting → stopped. A failed sweep is repeated at the next interval; the first successful
 * one inquires about everything that was prepared before the start.
 */
export class Sweeper {
  private timer: Timer | undefined;
  private stopped = true;
  /** the next sweep includes young branches */
  private all = true;
  /** by gid, in monotonic time: what is prepared */
  private firstSeen: ReadonlyMap<string, number> = new Map();
  private inHand: Promise<void> = Promise.resolve();

  constructor(
    private readonly options: SweeperOptions,
    private readonly ports: SweeperPorts,
  ) {}

  start(): void {
    this.stopped = false;
    this.all = true;
    this.inHand = this.sweepAndWait();
  }

  /** Inquires about every prepared branch after the running sweep. */
  inquireAll(): void {
    if (this.stopped) return;
    this.all = true;
    this.inHand = this.inHand.then(() => (this.all && !this.stopped ? this.sweepAndWait() : undefined));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    await this.inHand;
  }

  private async sweepAndWait(): Promise<void> {
    try {
      await this.sweep();
    } catch (error) {
      this.ports.logger.warn(`prepared branches could not be listed, trying again: ${errorMessage(error)}`);
    }
    if (this.stopped) return;
    this.timer?.cancel();
    this.timer = this.ports.clock.setTimer(this.options.intervalMs, () => {
      this.inHand = this.sweepAndWait();
    });
  }

  private async sweep(): Promise<void> {
    const thresholdMs = this.all ? 0 : this.options.thresholdMs;
    const { ports } = this;
    const asOf = ports.clock.monotonic();
    const prepared = await withTimeLimit(ports.clock, LIST_LIMIT_MS, 'the list', ports.listPrepared());
    if (this.stopped) return;
    if (thresholdMs === 0) this.all = false;
    const ages = this.agesOf(prepared);
    const waiting = prepared.filter((_, place) => ages[place]! >= thresholdMs);
    for (const branch of waiting.slice(0, this.options.maximumInquiries)) ports.inquire(branch);
    ports.observe(prepared, Math.max(0, ...ages), asOf);
  }

  /** The database's clock may have been set back: a branch is at least as old as the time since it was first seen. */
  private agesOf(prepared: readonly PreparedBranch[]): number[] {
    const monotonic = this.ports.clock.monotonic();
    const seen = new Map(prepared.map(({ gid }) => [gid, this.firstSeen.get(gid) ?? monotonic]));
    this.firstSeen = seen;
    return prepared.map(({ gid, ageMs }) => Math.max(ageMs, monotonic - seen.get(gid)!));
  }
}
