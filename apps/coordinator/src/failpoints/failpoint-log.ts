import { invariant, noFailpoints, reachFailpoint, type Failpoints, type Logger } from '@concordat/foundation';
import { isLockRecord, type ApplyResult, type DecisionState, type LogRecord } from '@concordat/commit-protocol';
import {
  LogUnavailableError,
  type AppliedRecord,
  type DecisionLog,
  type Leadership,
  type LeadershipListener,
} from '../decision-log/decision-log.js';
import { recordFailpoint, type RecordMoment } from './failpoints.js';

type ApplyListener = (applied: AppliedRecord) => void;

/** A record on its way to a listener. */
interface Delivery {
  readonly applied: AppliedRecord;
  readonly listener: ApplyListener;
}

/** Adds failpoints around every record of this leader. Returns `log` itself when failpoints are switched off. */
export function logWithFailpoints(log: DecisionLog, failpoints: Failpoints, logger: Logger): DecisionLog {
  return failpoints === noFailpoints ? log : new FailpointLog(log, failpoints, logger);
}

/**
 * The failpoints of the log: `coordinator.<kind of record>.<moment>`. Only the leader passes them.
 *
 * A paused record also delays all records after it and the replies to their proposers: listeners get records in order.
 * When the leadership ends, the pause ends and everything is delivered at once. A proposal that is still paused then is
 * never made.
 */
class FailpointLog implements DecisionLog {
  /** the paused record, with the delivery that waits for it */
  private held: { readonly delivery: Delivery | undefined } | undefined;
  private waiting: Delivery[] = [];
  /** replies to the proposers of the paused record and of those after it */
  private heldAnswers: (() => void)[] = [];

  constructor(
    private readonly log: DecisionLog,
    private readonly failpoints: Failpoints,
    private readonly logger: Logger,
  ) {}

  get state(): DecisionState {
    return this.log.state;
  }

  get appliedIndex(): number {
    return this.log.appliedIndex;
  }

  leadership(): Leadership {
    return this.log.leadership();
  }

  async append(record: LogRecord): Promise<ApplyResult> {
    const term = this.term;
    const held = isLockRecord(record)
      ? undefined
      : this.failpoints.hit(recordFailpoint(record, 'before-append'), record);
    if (held) {
      await held;
      if (this.term !== term) {
        throw new LogUnavailableError('no-leader', 'the leadership ended before the record was proposed');
      }
    }
    const result = await this.log.append(record);
    if (this.held) await new Promise<void>((resolve) => this.heldAnswers.push(resolve));
    return result;
  }

  confirmLeadership(): Promise<void> {
    return this.log.confirmLeadership();
  }

  readBarrier(): Promise<void> {
    return this.log.readBarrier();
  }

  caughtUp(): Promise<void> {
    return this.log.caughtUp();
  }

  applyPromptly(): () => void {
    return this.log.applyPromptly();
  }

  onApplied(listener: ApplyListener): () => void {
    return this.log.onApplied((applied) => {
      const delivery = { applied, listener };
      if (this.held) this.waiting.push(delivery);
      else this.deliver(delivery);
    });
  }

  onLeadership(listener: LeadershipListener): () => void {
    return this.log.onLeadership((leadership, replacedThrough) => {
      this.deliverHeld();
      listener(leadership, replacedThrough);
    });
  }

  private get term(): number | undefined {
    return this.log.leadership().epoch?.term;
  }

  private deliver(delivery: Delivery): void {
    const held = this.reach(delivery, 'after-append');
    if (held) this.hold(held, delivery);
    else this.tell(delivery);
  }

  private tell(delivery: Delivery): void {
    invariant(this.held === undefined, 'behind a record that is held up none is delivered');
    delivery.listener(delivery.applied);
    const held = this.reach(delivery, 'after-apply');
    if (held) this.hold(held, undefined);
  }

  private hold(until: Promise<void>, delivery: Delivery | undefined): void {
    const own = { delivery };
    this.held = own;
    void until.then(() => {
      if (this.held !== own) return; // delivered in the meantime
      this.held = undefined;
      if (delivery) this.tell(delivery);
      this.goOn();
    });
  }

  private goOn(): void {
    for (
      let next = this.held ? undefined : this.waiting.shift();
      next;
      next = this.held ? undefined : this.waiting.shift()
    ) {
      this.deliver(next);
    }
    if (!this.held) this.release();
  }

  private deliverHeld(): void {
    const waiting = [...(this.held?.delivery ? [this.held.delivery] : []), ...this.waiting];
    this.held = undefined;
    this.waiting = [];
    for (const { applied, listener } of waiting) listener(applied);
    this.release();
  }

  private release(): void {
    for (const resolve of this.heldAnswers.splice(0)) resolve();
  }

  private reach({ applied }: Delivery, moment: RecordMoment): Promise<void> | undefined {
    const { record, result } = applied;
    if (this.term === undefined || result.refusal !== undefined || isLockRecord(record)) return undefined;
    return reachFailpoint(this.failpoints, recordFailpoint(record, moment), this.logger, record);
  }
}
