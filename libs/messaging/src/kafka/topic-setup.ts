import { LIMITS } from '@concordat/commit-protocol';
import { codedError, errorMessage, type Logger } from '@concordat/foundation';

/** Room for a record's key, headers and framing. */
const RECORD_OVERHEAD_BYTES = 64 * 1024;
/** Every message fits into this. */
export const TOPIC_MESSAGE_BYTES = LIMITS.messageBytes + RECORD_OVERHEAD_BYTES;
/**
 * Votes, decisions and ends fit into this. With less, one of them could be lost for ever, and a transaction would never
 * end. Work may be larger: the broker refuses what does not fit, and its transaction ends at its deadline.
 */
export const LEAST_TOPIC_MESSAGE_BYTES = 4 * LIMITS.resultsBytes;

/** The broker's description of a topic; `undefined` for what this user may not see. */
export interface TopicDescription {
  readonly partitions: number;
  readonly maximumMessageBytes: number | undefined;
}

export interface TopicAdmin {
  /**
   * `missing`: it does not exist; `forbidden`: this user may not describe it. Rejects when the broker cannot be asked.
   */
  describe(topic: string): Promise<TopicDescription | 'missing' | 'forbidden'>;
  /** `exists`: it was created concurrently; `forbidden`: this user may not. @throws for any other reason */
  create(topic: string, settings: TopicSettings): Promise<'created' | 'exists' | 'forbidden'>;
}

export interface TopicSettings {
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly maximumMessageBytes: number;
}

/** A topic that cannot be used. The message says what somebody must change at the broker. */
export class TopicSetupError extends codedError('TOPIC_NOT_USABLE', { retryable: true }) {}

/**
 * Ensures that topics exist and can carry every message that must not be lost. It creates only missing ones, so topics
 * that an administrator created need no right to create.
 */
export class TopicSetup {
  /** topics with a warning already logged */
  private readonly warned = new Set<string>();

  constructor(
    private readonly settings: Pick<TopicSettings, 'partitions' | 'replicationFactor'>,
    private readonly logger: Logger,
  ) {}

  /** @throws TopicSetupError with every unusable topic and what to do; any other error may pass by itself */
  async ensure(admin: TopicAdmin, topics: readonly string[]): Promise<void> {
    const problems: string[] = [];
    for (const topic of new Set(topics)) {
      const problem = await this.ensureOne(admin, topic);
      if (problem !== undefined) problems.push(problem);
    }
    if (problems.length > 0) throw new TopicSetupError(problems.join('; '));
  }

  private async ensureOne(admin: TopicAdmin, topic: string): Promise<string | undefined> {
    const found = await admin.describe(topic);
    if (found === 'forbidden') return `this user may not describe the topic "${topic}": grant Describe on it`;
    return found === 'missing' ? await this.make(admin, topic) : this.judge(topic, found);
  }

  private async make(admin: TopicAdmin, topic: string): Promise<string | undefined> {
    const { partitions, replicationFactor } = this.settings;
    try {
      const made = await admin.create(topic, {
        partitions,
        replicationFactor,
        maximumMessageBytes: TOPIC_MESSAGE_BYTES,
      });
      if (made !== 'forbidden') return undefined;
    } catch (error) {
      return `the topic "${topic}" does not exist and cannot be created: ${errorMessage(error)}`;
    }
    return (
      `the topic "${topic}" does not exist, and this user may not create it: create it with max.message.bytes of at least ` +
      `${TOPIC_MESSAGE_BYTES}, or grant Create on it or on the cluster`
    );
  }

  private judge(topic: string, { partitions, maximumMessageBytes }: TopicDescription): string | undefined {
    if (partitions < this.settings.partitions) {
      this.warnOnce(
        `the topic "${topic}" has ${partitions} partitions, ${this.settings.partitions} are configured: at most this many ` +
          'processes of a participant get messages; add partitions to it',
      );
    }
    if (maximumMessageBytes === undefined || maximumMessageBytes >= TOPIC_MESSAGE_BYTES) return undefined;
    const change = `set its max.message.bytes, now ${maximumMessageBytes}, to at least ${TOPIC_MESSAGE_BYTES}`;
    if (maximumMessageBytes < LEAST_TOPIC_MESSAGE_BYTES) {
      return `the topic "${topic}" cannot carry every vote and decision: ${change}`;
    }
    this.warnOnce(`the topic "${topic}" cannot carry the largest work, which the broker would refuse: ${change}`);
    return undefined;
  }

  private warnOnce(text: string): void {
    if (this.warned.has(text)) return;
    this.warned.add(text);
    this.logger.warn(text);
  }
}
