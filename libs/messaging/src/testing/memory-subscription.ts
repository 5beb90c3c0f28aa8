import { errorMessage, type Logger, type Timer } from '@concordat/foundation';
import {
  DEFAULT_MAXIMUM_IN_FLIGHT,
  DEFAULT_STOP_TIMEOUT_MS,
  type Subscription,
  type BrokerSubscription,
} from '../bus.js';
import type { MessageIntake } from '../contract/intake.js';
import type { MemoryBroker, MemoryMember, MemoryPartition, MemoryRecord } from './memory-broker.js';
import { OffsetTracker } from '../kafka/offset-tracker.js';

interface AssignedPartition {
  readonly partition: MemoryPartition;
  readonly tracker: OffsetTracker;
  /** the next offset to deliver */
  next: number;
  /** set while a delivery is pending */
  delivery: Timer | undefined;
}

const COMMIT_INTERVAL_MS = 1_000;

/**
 * One member of a group on the memory broker. Delivers messages in the order of their partition, commits once a second
 * by the given clock, and loses everything uncommitted in a crash.
 *
 * States: running ⇄ paused → stopped. Invariant: the committed offset is at or below the lowest unfinished message of
 * its partition.
 */
export class MemorySubscription implements Subscription, MemoryMember {
  readonly topics: readonly string[];
  private assigned: AssignedPartition[] = [];
  private inFlight = 0;
  private state: 'running' | 'paused' | 'stopped' = 'running';
  private commitTimer: Timer | undefined;
  private readonly idleWaiters: (() => void)[] = [];
  private latestUntilAssigned: boolean;

  constructor(
    private readonly broker: MemoryBroker,
    private readonly options: BrokerSubscription,
    private readonly intake: MessageIntake,
    private readonly logger: Logger,
    private readonly onEnded: () => void,
  ) {
    this.topics = [...new Set(options.topics)];
    this.latestUntilAssigned = options.start === 'latest';
    broker.join(options.group, this);
    this.latestUntilAssigned = false;
  }

  assign(partitions: readonly MemoryPartition[]): void {
    this.release();
    this.assigned = partitions.map((partition) => {
      const start = this.latestUntilAssigned
        ? partition.end
        : (this.broker.committed(this.options.group, partition) ?? 0);
      if (this.latestUntilAssigned) this.broker.commit(this.options.group, partition, start);
      return { partition, tracker: new OffsetTracker(start), next: start, delivery: undefined };
    });
    this.wake();
  }

  expel(): void {
    for (const part of this.assigned) this.cancelDelivery(part);
    this.assigned = [];
  }

  wake(): void {
    for (const part of this.assigned) this.scheduleDelivery(part);
  }

  pause(): void {
    if (this.state !== 'running') return;
    this.state = 'paused';
    for (const part of this.assigned) this.cancelDelivery(part);
  }

  resumeFromLatest(): void {
    if (this.state !== 'paused') return;
    this.state = 'running';
    for (const part of this.assigned) {
      part.next = part.partition.end;
      part.tracker.skipTo(part.next);
    }
    this.commitFinished();
    this.wake();
  }

  idleMs(): number {
    return 0;
  }

  async stop(): Promise<void> {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    for (const part of this.assigned) this.cancelDelivery(part);
    if (this.inFlight > 0) await this.handlersFinished();
    this.commitTimer?.cancel();
    this.commitFinished();
    this.broker.leave(this.options.group, this, 'left');
    this.onEnded();
  }

  /** As by kill -9: no more deliveries and commits. */
  crash(): void {
    this.state = 'stopped';
    for (const part of this.assigned) this.cancelDelivery(part);
    this.assigned = [];
    this.commitTimer?.cancel();
    this.broker.leave(this.options.group, this, 'crashed');
  }

  private handlersFinished(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.broker.clock.setTimer(this.options.stopTimeoutMs ?? DEFAULT_STOP_TIMEOUT_MS, resolve);
      this.idleWaiters.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  private release(): void {
    for (const part of this.assigned) this.cancelDelivery(part);
    this.commitFinished();
    this.assigned = [];
  }

  private scheduleDelivery(part: AssignedPartition): void {
    if (this.state !== 'running' || part.delivery || !this.broker.isUp || this.isFull()) return;
    if (!part.partition.read(part.next)) return;
    part.delivery = this.broker.clock.setTimer(this.broker.drawDelayMs(), () => {
      part.delivery = undefined;
      this.deliver(part);
    });
  }

  /** Without a delay all waiting messages are delivered at once; with one, each has its own. */
  private deliver(part: AssignedPartition): void {
    const oneByOne = this.broker.faults.maximumDelayMs > 0;
    while (this.state === 'running' && this.broker.isUp && !this.isFull()) {
      const record = part.partition.read(part.next);
      if (!record) return;
      part.next = record.offset + 1;
      part.tracker.begin(record.offset);
      this.dispatch(part, record);
      if (oneByOne) break;
    }
    this.scheduleDelivery(part);
  }

  private dispatch(part: AssignedPartition, record: MemoryRecord): void {
    this.inFlight++;
    const finish = (): void => this.finished(part, record.offset);
    try {
      const taken = this.intake.take({ ...record, offset: String(record.offset) });
      const handled = taken && this.options.onMessage(taken.message, taken.sender);
      if (!handled) return finish();
      handled.then(finish, (error: unknown) => {
        this.reportHandler(record, error);
        finish();
      });
    } catch (error) {
      this.reportHandler(record, error);
      finish();
    }
  }

  private finished(part: AssignedPartition, offset: number): void {
    const wasFull = this.isFull();
    this.inFlight--;
    part.tracker.finish(offset);
    if (this.inFlight === 0) for (const wake of this.idleWaiters.splice(0)) wake();
    if (this.state === 'stopped') return;
    this.commitTimer ??= this.broker.clock.setTimer(COMMIT_INTERVAL_MS, () => {
      this.commitTimer = undefined;
      this.commitInTime();
    });
    if (wasFull) this.wake();
  }

  /** A commit that a failpoint delays covers what is finished when it continues. */
  private commitInTime(): void {
    const { aroundCommit } = this.options;
    const commit = (): void => {
      this.commitFinished();
      void aroundCommit?.after();
    };
    const skip = (error: unknown): void => this.logger.warn(`offsets could not be committed: ${errorMessage(error)}`);
    try {
      const held = aroundCommit?.before();
      if (held) held.then(commit, skip);
      else commit();
    } catch (error) {
      skip(error);
    }
  }

  private commitFinished(): void {
    for (const { partition, tracker } of this.assigned) {
      this.broker.commit(this.options.group, partition, tracker.position);
    }
  }

  private reportHandler(record: MemoryRecord, error: unknown): void {
    this.logger.error(`the handler of ${record.topic} failed: ${errorMessage(error)}`, error);
  }

  private isFull(): boolean {
    return this.inFlight >= (this.options.maximumInFlight ?? DEFAULT_MAXIMUM_IN_FLIGHT);
  }

  private cancelDelivery(part: AssignedPartition): void {
    part.delivery?.cancel();
    part.delivery = undefined;
  }
}
