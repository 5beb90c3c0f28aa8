import type { Clock } from '@concordat/foundation';
import { MessageBusError, UnsendableMessagesError } from './errors.js';

/** Interval of the log line: an unsendable message is tried again and again. */
const REPORT_INTERVAL_MS = 10_000;

/** Counts messages that can never be sent, and reports them periodically: their receivers wait in vain. */
export class UnsendableReport {
  private messages = 0;
  private unreported = 0;
  private reportedAt = -Infinity;

  /** @param tell logs one sentence that says what cannot be sent and what to do */
  constructor(
    private readonly clock: Clock,
    private readonly tell: (sentence: string) => void,
  ) {}

  get count(): number {
    return this.messages;
  }

  /** Handles a rejection of `MessageBus.publish`. Returns true when it was about unsendable messages. */
  take(error: unknown): boolean {
    const described = describe(error);
    if (!described) return false;
    this.messages += described.count;
    this.unreported += described.count;
    const now = this.clock.monotonic();
    if (now - this.reportedAt < REPORT_INTERVAL_MS) return true;
    this.tell(`UNSENDABLE ${this.unreported} messages since the last such line; ${described.sentence}`);
    this.reportedAt = now;
    this.unreported = 0;
    return true;
  }
}

function describe(error: unknown): { count: number; sentence: string } | undefined {
  if (error instanceof UnsendableMessagesError) {
    const [first] = error.refused;
    if (!first) return undefined;
    const about = 'transactionId' in first.message ? ` about transaction ${first.message.transactionId}` : '';
    const what = `${first.message.type}${about} for ${first.topic} is no valid message (${first.error.message})`;
    return { count: error.refused.length, sentence: `${what}; report this as a fault of Concordat` };
  }
  if (error instanceof MessageBusError && error.code === 'BUS_MESSAGE_REFUSED') {
    const remedy = "check the topic's max.message.bytes and the rights of this process on it";
    return { count: 1, sentence: `${error.message}; ${remedy}` };
  }
  return undefined;
}
