import { invariant } from '@concordat/foundation';
import { encodeConfiguration } from './configuration-codec.js';
import { votersOnly } from './configuration.js';
import type { Entry, Member, NodeId } from './types.js';

/** The term of the entry that a group's first configuration stands in; the first election is for the next one. */
export const BOOTSTRAP_TERM = 1;

/** The first entry of every log of a group: all its first voters write the same one, so it is committed at once. */
export function bootstrapEntry(nodeId: NodeId, members: readonly Member[]): Entry {
  invariant(
    members.some((member) => member.nodeId === nodeId),
    'a node is one of the members its group begins with',
  );
  const data = encodeConfiguration(votersOnly(members));
  return { index: 1, term: BOOTSTRAP_TERM, kind: 'configuration', data };
}
