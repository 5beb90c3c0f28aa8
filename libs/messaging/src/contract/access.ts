import { Namespace, type NamespaceOptions } from './namespace.js';
import { DEAD_LETTER_TOPIC, decideTopic, OUTCOMES_TOPIC, prepareTopic, REPLIES_TOPIC, type Topic } from './topics.js';

/** Operations of Kafka's ACLs. Read and Write contain Describe. */
export type AccessOperation = 'Read' | 'Write' | 'Create' | 'DescribeConfigs';

/** What a process may do with topics or groups of the broker. */
export interface AccessRule {
  readonly resource: 'topic' | 'group';
  readonly name: string;
  /** `prefixed`: all whose names begin so */
  readonly pattern: 'literal' | 'prefixed';
  readonly operations: readonly AccessOperation[];
  /** what it is for */
  readonly purpose: string;
}

/** Every topic of a participant begins so. */
const EVERY_PREPARE = prepareTopic('');
const EVERY_DECIDE = decideTopic('');

/**
 * The rights that a role needs at the broker, and no more.
 *
 * @param participant the name of the participant; undefined: a coordinator
 */
export function accessOf(options: NamespaceOptions, participant?: string): readonly AccessRule[] {
  const namespace = new Namespace(options);
  const topic = (
    name: Topic,
    operations: readonly AccessOperation[],
    purpose: string,
    pattern: AccessRule['pattern'] = 'literal',
  ): AccessRule => ({ resource: 'topic', name: namespace.topic(name), pattern, operations, purpose });
  const group = (name: string, pattern: AccessRule['pattern']): AccessRule => {
    return { resource: 'group', name: namespace.group(name), pattern, operations: ['Read'], purpose: 'its group' };
  };
  const OWN = ['Create', 'DescribeConfigs'] as const;
  if (participant === undefined) {
    return [
      topic(REPLIES_TOPIC, ['Read', ...OWN], 'votes and ends of branches'),
      topic(OUTCOMES_TOPIC, ['Write', ...OWN], 'outcomes for any subscriber'),
      topic(DEAD_LETTER_TOPIC, ['Write', ...OWN], 'what it refuses'),
      topic(EVERY_PREPARE, ['Write', ...OWN], 'work for participants', 'prefixed'),
      topic(EVERY_DECIDE, ['Write', ...OWN], 'decisions', 'prefixed'),
      group('coordinator.', 'prefixed'),
    ];
  }
  return [
    topic(prepareTopic(participant), ['Read', ...OWN], 'work for it'),
    topic(decideTopic(participant), ['Read', 'Write', ...OWN], 'decisions, and what it tells itself'),
    topic(REPLIES_TOPIC, ['Write', 'DescribeConfigs'], 'its votes and ends'),
    topic(DEAD_LETTER_TOPIC, ['Write'], 'what it refuses'),
    topic(EVERY_DECIDE, ['Write'], 'ballots of branches; only for transactions in three phases', 'prefixed'),
    group(`participant.${participant}`, 'literal'),
  ];
}
