import type { MessageSender } from '../contract/authenticity.js';
import { accessOf, type AccessRule } from '../contract/access.js';
import { Namespace } from '../contract/namespace.js';
import { DEAD_LETTER_TOPIC } from '../contract/topics.js';
import type { KafkaMessageBusOptions } from './kafka-client.js';
import type { WantedRights } from './topic-setup.js';

/** Of reading and writing, what the role needs, by the names on the broker; dead letters are not worth a stop. */
export function wantedRights(options: KafkaMessageBusOptions): WantedRights {
  const { role } = options;
  if (role === undefined) return () => [];
  const rules = accessOf(options, participantOf(role));
  const letters = new Namespace(options).topic(DEAD_LETTER_TOPIC);
  return (topic) => {
    const rule = topic === letters ? undefined : rules.find((one) => isAbout(one, topic));
    return (['Read', 'Write'] as const).filter((right) => rule?.operations.includes(right));
  };
}

/** The name in a role; undefined for a coordinator. */
export function participantOf(role: MessageSender): string | undefined {
  return role === 'coordinator' ? undefined : role.slice(role.indexOf(':') + 1);
}

function isAbout({ resource, name, pattern }: AccessRule, topic: string): boolean {
  return resource === 'topic' && (pattern === 'prefixed' ? topic.startsWith(name) : topic === name);
}
