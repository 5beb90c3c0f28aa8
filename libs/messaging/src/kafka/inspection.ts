import { withTimeLimit } from '@concordat/foundation';
import { accessOf } from '../contract/access.js';
import { Namespace } from '../contract/namespace.js';
import type { Topic } from '../contract/topics.js';
import { withDefaults } from './default-settings.js';
import { isGroupForbidden } from './group-rights.js';
import { withTopicAdmin } from './kafka-admin.js';
import { createClient, type KafkaMessageBusOptions } from './kafka-client.js';
import { judgeTopics, type TopicFinding } from './topic-setup.js';
import { participantOf, wantedRights } from './wanted-rights.js';

const ASK_LIMIT_MS = 30_000;

/**
 * What there is to say about topics on a broker, as a bus with these options would see them. Creates nothing. Rejects when
 * the broker cannot be asked; `brokerFault` says why.
 */
export async function inspectTopics(
  options: KafkaMessageBusOptions,
  topics: readonly Topic[],
): Promise<readonly TopicFinding[]> {
  const settings = withDefaults(options);
  const namespace = new Namespace(options);
  const names = topics.map((topic) => namespace.topic(topic));
  return withTopicAdmin(settings, (admin) => judgeTopics(admin, names, settings, wantedRights(options)));
}

/** Of a group in which processes of a role share their messages. */
export type GroupFinding =
  | { readonly group: string; readonly state: 'usable'; readonly sentence: string }
  | { readonly group: string; readonly state: 'unusable'; readonly sentence: string; readonly fix: string };

/**
 * Whether a process of this role may consume in its group. Creates nothing. Rejects when the broker cannot be asked.
 */
export async function inspectGroup(
  options: KafkaMessageBusOptions & Required<Pick<KafkaMessageBusOptions, 'role'>>,
): Promise<GroupFinding> {
  const rule = accessOf(options, participantOf(options.role)).find(({ resource }) => resource === 'group')!;
  const group = rule.pattern === 'prefixed' ? `${rule.name}inspection` : rule.name;
  const settings = withDefaults(options);
  const asked = isGroupForbidden(createClient(settings), group);
  const isForbidden = await withTimeLimit(settings.clock, ASK_LIMIT_MS, 'the question about the group', asked);
  if (!isForbidden) return { group, state: 'usable', sentence: `this user may see the group "${group}"` };
  return {
    group,
    state: 'unusable',
    sentence: `this user has no right to the group "${group}", and so gets no messages`,
    fix: 'grant Read on it (npx concordat kafka acls prints the rights of each role)',
  };
}
