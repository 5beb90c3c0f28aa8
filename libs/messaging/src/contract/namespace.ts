import { isClusterName } from '@concordat/commit-protocol';
import { NamespaceError } from './errors.js';
import type { Topic } from './topics.js';

export const DEFAULT_TOPIC_PREFIX = 'concordat';

/** With the longest names of a cluster and a participant a topic has 237 of Kafka's 249 characters. */
export const MAXIMUM_TOPIC_PREFIX_LENGTH = 100;

/** Letters, digits, `.`, `_` and `-`, as in Kafka; it begins and ends with a letter or digit. */
const PREFIX = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;

/** The rule in words, for error texts. */
export const TOPIC_PREFIX_RULE = `at most ${MAXIMUM_TOPIC_PREFIX_LENGTH} letters, digits, ".", "_" and "-", with a letter or digit at both ends`;

export function isTopicPrefix(value: string): boolean {
  return value.length <= MAXIMUM_TOPIC_PREFIX_LENGTH && PREFIX.test(value);
}

export interface NamespaceOptions {
  /** the cluster of this process: part of the name of every topic and group, and of every message */
  readonly cluster: string;
  /** prefix of the names of topics and groups, default `concordat` */
  readonly topicPrefix?: string;
}

/**
 * The names of one cluster on a broker that it may share with others: `<prefix>.<cluster>.<name>` for every topic and
 * group. Only the bus uses these names; all other code uses `Topic`.
 *
 * @throws NamespaceError when cluster or prefix cannot be part of the name of a topic
 */
export class Namespace {
  readonly cluster: string;
  private readonly prefix: string;

  constructor({ cluster, topicPrefix = DEFAULT_TOPIC_PREFIX }: NamespaceOptions) {
    if (!isClusterName(cluster)) {
      throw new NamespaceError(
        `"${cluster}" cannot name a cluster: use lower-case letters, digits and hyphens, at most 63`,
      );
    }
    if (!isTopicPrefix(topicPrefix)) {
      throw new NamespaceError(`"${topicPrefix}" cannot begin the names of topics: use ${TOPIC_PREFIX_RULE}`);
    }
    this.cluster = cluster;
    this.prefix = `${topicPrefix}.${cluster}.`;
  }

  topic(topic: Topic): string {
    return this.prefix + topic;
  }

  /** The topic of this cluster that has this name on the broker; undefined for others. */
  topicNamed(name: string): Topic | undefined {
    return name.startsWith(this.prefix) ? (name.slice(this.prefix.length) as Topic) : undefined;
  }

  group(group: string): string {
    return this.prefix + group;
  }
}
