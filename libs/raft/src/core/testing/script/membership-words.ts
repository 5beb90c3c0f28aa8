import { memberOf } from '../../membership/configuration.js';
import type { MembershipChange } from '../../membership/membership-change.js';
import { parseInteger } from './fields.js';
import { ScriptError } from './script-error.js';

/** `add-learner=4`, with a priority `add-learner=4:10`; `promote=4`, `demote=3`, `remove=2`; `return=2:3` */
export function parseChange(word: string): MembershipChange {
  const [type, node = '', ...rest] = word.split('=');
  const [nodeWord = '', priorityWord = '0', ...more] = node.split(':');
  if (rest.length > 0 || more.length > 0) throw new ScriptError(`${word} is no change`);
  const nodeId = parseInteger(nodeWord);
  switch (type) {
    case 'add-learner':
      return { type, member: memberOf(nodeId, { priority: parseInteger(priorityWord) }) };
    case 'return':
      return { type, nodeId, incarnation: parseInteger(priorityWord) };
    case 'promote':
    case 'demote':
    case 'remove':
      return { type, nodeId };
    default:
      throw new ScriptError(`${word} is no change; there are add-learner, promote, demote, remove and return`);
  }
}
