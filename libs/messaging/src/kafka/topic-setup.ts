import { LIMITS } from '@concordat/commit-protocol';
import { codedError, errorMessage, type Logger } from '@concordat/foundation';
import type { TopicRight } from './topic-rights.js';

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

/** What this process does with a topic; undefined: it is not known. */
export type WantedRights = (topic: string) => readonly TopicRight[];

export interface TopicAdmin {
  /**
   * `missing`: it does not exist; `forbidden`: this user may not describe it. Rejects when the broker cannot be asked.
   */
  describe(topic: string): Promise<TopicDescription | 'missing' | 'forbidden'>;
  /** What this user may do with the topic, as the broker says; undefined where it does not say it. */
  rights(topic: string): Promise<ReadonlySet<TopicRight> | undefined>;
  /** `exists`: it was created concurrently; `forbidden`: this user may not. @throws for any other reason */
  create(topic: string, settings: TopicSettings): Promise<'created' | 'exists' | 'forbidden'>;
  /** What `create` would answer; creates nothing. @throws as `create` does */
  tryCreate(topic: string, settings: TopicSettings): Promise<'created' | 'exists' | 'forbidden'>;
}

/**
 * What is to be said about a topic. `usable`: it carries every message. `impaired`: it carries all that must not be lost.
 * `missing`: this user may create it, and the first process that needs it does.
 */
export type TopicFinding =
  | { readonly topic: string; readonly state: 'usable'; readonly sentence: string }
  | {
      readonly topic: string;
      readonly state: 'impaired' | 'missing' | 'unusable';
      readonly sentence: string;
      readonly fix: string;
    };

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
    private readonly wanted: WantedRights = () => [],
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
    if (found === 'missing') {
      const problem = await createProblem(() => admin.create(topic, wantedOf(this.settings)), topic);
      return problem && textOf(problem);
    }
    const lacking = await lackingRights(admin, topic, found, this.wanted);
    const findings = judgeTopic(topic, found, this.settings.partitions, lacking);
    for (const finding of findings) if (finding.state === 'impaired') this.warnOnce(textOf(finding));
    const unusable = findings.find(({ state }) => state === 'unusable');
    return unusable && textOf(unusable);
  }

  private warnOnce(text: string): void {
    if (this.warned.has(text)) return;
    this.warned.add(text);
    this.logger.warn(text);
  }
}

/** Judges topics as `TopicSetup` does, and creates nothing. Rejects when the broker cannot be asked. */
export async function judgeTopics(
  admin: TopicAdmin,
  topics: readonly string[],
  settings: Pick<TopicSettings, 'partitions' | 'replicationFactor'>,
  wanted: WantedRights = () => [],
): Promise<TopicFinding[]> {
  const findings: TopicFinding[] = [];
  for (const topic of new Set(topics)) {
    const found = await admin.describe(topic);
    if (found !== 'missing') {
      const lacking = await lackingRights(admin, topic, found, wanted);
      findings.push(...judgeTopic(topic, found, settings.partitions, lacking));
      continue;
    }
    const problem = await createProblem(() => admin.tryCreate(topic, wantedOf(settings)), topic);
    findings.push(
      problem ?? {
        topic,
        state: 'missing',
        sentence: `the topic "${topic}" does not exist yet`,
        fix: 'start the participant or a coordinator, which creates it; this user may',
      },
    );
  }
  return findings;
}

/** A description needs only Describe, which every other right contains. */
async function lackingRights(
  admin: TopicAdmin,
  topic: string,
  found: TopicDescription | 'forbidden',
  wanted: WantedRights,
): Promise<readonly TopicRight[]> {
  const needed = wanted(topic);
  if (needed.length === 0 || found === 'forbidden') return needed;
  const rights = await admin.rights(topic);
  return rights ? needed.filter((right) => !rights.has(right)) : [];
}

function wantedOf({
  partitions,
  replicationFactor,
}: Pick<TopicSettings, 'partitions' | 'replicationFactor'>): TopicSettings {
  return { partitions, replicationFactor, maximumMessageBytes: TOPIC_MESSAGE_BYTES };
}

/** Why a missing topic is not created; undefined when it is. */
async function createProblem(
  create: () => Promise<'created' | 'exists' | 'forbidden'>,
  topic: string,
): Promise<TopicFinding | undefined> {
  const state = 'unusable';
  try {
    if ((await create()) !== 'forbidden') return undefined;
  } catch (error) {
    return {
      topic,
      state,
      sentence: `the topic "${topic}" does not exist and cannot be created: ${errorMessage(error)}`,
      fix: 'correct what the broker objects to, or create the topic by hand',
    };
  }
  return {
    topic,
    state,
    sentence: `the topic "${topic}" does not exist, and this user may not create it`,
    fix: `create it with max.message.bytes of at least ${TOPIC_MESSAGE_BYTES}, or grant Create on it or on the cluster`,
  };
}

/**
 * At least one finding.
 *
 * @param partitions that are set
 * @param lacking what this process needs to do with it, and may not
 */
function judgeTopic(
  topic: string,
  found: TopicDescription | 'forbidden',
  partitions: number,
  lacking: readonly TopicRight[],
): TopicFinding[] {
  if (found === 'forbidden') {
    const sentence = `this user may not describe the topic "${topic}"`;
    return [{ topic, state: 'unusable', sentence, fix: grantOf(lacking.length > 0 ? lacking : ['Describe']) }];
  }
  const findings: TopicFinding[] = [];
  if (lacking.length > 0) {
    const rights = lacking.join(' and ');
    findings.push({
      topic,
      state: 'unusable',
      sentence: `this user may describe the topic "${topic}" and has not the right to ${rights} it`,
      fix: grantOf(lacking),
    });
  }
  const { maximumMessageBytes = TOPIC_MESSAGE_BYTES } = found;
  if (maximumMessageBytes < TOPIC_MESSAGE_BYTES) {
    const isUsable = maximumMessageBytes >= LEAST_TOPIC_MESSAGE_BYTES;
    const what = isUsable ? 'the largest work, which the broker would refuse' : 'every vote and decision';
    findings.push({
      topic,
      state: isUsable ? 'impaired' : 'unusable',
      sentence: `the topic "${topic}" cannot carry ${what}`,
      fix: `set its max.message.bytes, now ${maximumMessageBytes}, to at least ${TOPIC_MESSAGE_BYTES}`,
    });
  }
  if (found.partitions < partitions) {
    findings.push({
      topic,
      state: 'impaired',
      sentence:
        `the topic "${topic}" has ${found.partitions} partitions, ${partitions} are configured: at most this many processes of ` +
        'a participant get messages',
      fix: 'add partitions to it',
    });
  }
  const sentence = `the topic "${topic}" is there, with ${found.partitions} partitions`;
  return findings.length > 0 ? findings : [{ topic, state: 'usable', sentence }];
}

function grantOf(rights: readonly string[]): string {
  return `grant ${rights.join(' and ')} on it (npx concordat kafka acls prints the rights of each role)`;
}

function textOf(finding: TopicFinding): string {
  return finding.state === 'usable' ? finding.sentence : `${finding.sentence}: ${finding.fix}`;
}
