import { backoffMs, roughJsonSize, type Clock, type Random, type Timer } from '@concordat/foundation';
import type { CoordinatorEvent, TransactionState } from '@concordat/commit-protocol';
import type { InstanceStreams } from '@concordat/messaging';
import type { TransactionOptions } from '../options.js';
import type { Holder } from '../transactions.api.js';
import { HolderWatch } from './holder-watch.js';
import { PacedWork } from './paced-work.js';

/** Transactions per turn whose messages are sent again, or whose deadline has passed. */
const RESENT_PER_TURN = 128;
const DEADLINES_PER_TURN = 128;
/** Large messages count as several units of this size: about a megabyte per turn. */
const RESENT_UNIT_BYTES = 8 * 1024;
/** The average rate of resends, over all open transactions. */
const RESENDS_PER_SECOND = 1_000;

export interface LeaderTimersDependencies {
  readonly clock: Clock;
  readonly random: Random;
  readonly options: Pick<TransactionOptions, 'resendBaseMs' | 'resendCapMs' | 'instanceGraceMs'>;
  /** the instances that can be reached; undefined where none can */
  readonly instances: () => InstanceStreams | undefined;
  readonly openCount: () => number;
  /** settled when the latest publication is */
  readonly published: () => Promise<unknown>;
  /** settled when the latest proposals are in the log or have failed */
  readonly appended: () => Promise<unknown>;
  /** called at the end of each turn in which a timer had an effect */
  readonly onTurn: () => void;
}

/**
 * The timers of all open transactions of a leadership. Those that are due are served at the pace of the bus and of the
 * log.
 */
export class LeaderTimers {
  private readonly resends: PacedWork;
  private readonly deadlines: PacedWork;

  constructor(readonly dependencies: LeaderTimersDependencies) {
    const { clock, onTurn: onSlice, published, appended } = dependencies;
    this.resends = new PacedWork({ clock, onSlice, perSlice: RESENT_PER_TURN, settled: published });
    this.deadlines = new PacedWork({ clock, onSlice, perSlice: DEADLINES_PER_TURN, settled: appended });
  }

  /** Sends the messages of a transaction now, or when those before it are published. */
  paceResend(transaction: TransactionState, resend: () => void): void {
    this.resends.add(resend, resendWeight(transaction));
  }

  /** Ends a transaction whose deadline has passed: now, or when those before it are logged. */
  paceDeadline(end: () => void): void {
    this.deadlines.add(end);
  }

  /** Drops the work that waits. The owner of each transaction cancels its timers. */
  close(): void {
    this.resends.close();
    this.deadlines.close();
  }
}

/** The timers of one open transaction: its deadline and its holders, until it is decided, and its next resend. */
export class TransactionTimers {
  private deadline: Timer | undefined;
  private resend: Timer | undefined;
  private readonly holders: HolderWatch;
  /** the resend is due and waits for its turn */
  private resendIsDue = false;

  /** @param handle passes an event to the machine of the transaction */
  constructor(
    private readonly leader: LeaderTimers,
    private readonly transaction: () => TransactionState,
    private readonly handle: (event: CoordinatorEvent) => void,
    /** the process that will request the commit, where that is known */
    beginner?: Holder,
  ) {
    const { clock, instances, options } = leader.dependencies;
    const onGone = (gone: CoordinatorEvent): void => this.endEarly(gone);
    this.holders = new HolderWatch(
      { clock, instances, graceMs: options.instanceGraceMs, onGone },
      transaction,
      beginner,
    );
  }

  startDeadline(): void {
    const { clock } = this.leader.dependencies;
    this.deadline = clock.setTimer(Math.max(0, this.transaction().deadline - clock.now()), () => {
      this.endEarly({ type: 'deadline' });
    });
    this.watchHolders();
  }

  /** Call it again when a branch has joined. */
  watchHolders(): void {
    this.holders.start();
  }

  cancelDeadline(): void {
    this.deadline?.cancel();
    this.holders.cancel();
  }

  /** @param attempt from 0; the delay grows with it, and with the number of open transactions */
  scheduleResend(attempt: number): void {
    const { clock, random, options, openCount, onTurn } = this.leader.dependencies;
    this.cancelResend();
    const capMs = Math.max(options.resendCapMs, (openCount() / RESENDS_PER_SECOND) * 1_000);
    const delayMs = backoffMs(attempt, { baseMs: options.resendBaseMs, capMs }, random);
    this.resend = clock.setTimer(delayMs, () => {
      this.resendIsDue = true;
      this.leader.paceResend(this.transaction(), () => {
        if (!this.resendIsDue) return;
        this.resendIsDue = false;
        this.handle({ type: 'resend' });
      });
      onTurn();
    });
  }

  cancelResend(): void {
    this.resend?.cancel();
    this.resendIsDue = false;
  }

  private endEarly(event: CoordinatorEvent): void {
    this.leader.paceDeadline(() => this.handle(event));
    this.leader.dependencies.onTurn();
  }

  cancel(): void {
    this.cancelDeadline();
    this.cancelResend();
  }
}

/** Work is sent again with its payloads, a decision without them. */
function resendWeight({ decision, branches }: TransactionState): number {
  if (decision) return 1;
  const sizeBytes = branches.reduce((sum, { operations }) => sum + roughJsonSize(operations), 0);
  return 1 + Math.floor(sizeBytes / RESENT_UNIT_BYTES);
}
