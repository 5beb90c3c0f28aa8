import type { Message, NodeId } from '../../types.js';
import { parseInteger, parseIntegers } from './fields.js';
import { isMessageType } from './message-notation.js';
import { ScriptError } from './script-error.js';

type Nodes = readonly NodeId[] | undefined;

/** `1->2`, `1,2->*`: the nodes on both ends; undefined is every node. */
export function parseWay(word: string): { readonly from: Nodes; readonly to: Nodes } {
  const [from, to, ...rest] = word.split('->');
  if (from === undefined || to === undefined || rest.length > 0)
    throw new ScriptError(`${word} is no way; write from->to, with * for every node`);
  const nodesOf = (list: string): Nodes => (list === '*' ? undefined : parseIntegers(list));
  return { from: nodesOf(from), to: nodesOf(to) };
}

/**
 * Splits the messages on their way by `[first n|last n] [from->to] [type]`: those it selects, in the order of sending,
 * and the others. Selecting nothing is an error: the script means a message that was not sent.
 */
export function select(
  wires: readonly Message[],
  words: readonly string[],
): { readonly selected: readonly Message[]; readonly others: readonly Message[] } {
  const left = [...words];
  const end = left[0] === 'first' || left[0] === 'last' ? left.shift() : undefined;
  const count = end === undefined ? Infinity : parseInteger(left.shift() ?? '');
  let matching = [...wires];
  for (const word of left) {
    if (isMessageType(word)) {
      matching = matching.filter(({ type }) => type === word);
      continue;
    }
    const way = parseWay(word);
    matching = matching.filter(({ from, to }) => (way.from?.includes(from) ?? true) && (way.to?.includes(to) ?? true));
  }
  const chosen = new Set(end === 'last' ? matching.slice(-count) : matching.slice(0, count));
  if (chosen.size === 0) throw new ScriptError('there is no such message on its way');
  return {
    selected: wires.filter((message) => chosen.has(message)),
    others: wires.filter((message) => !chosen.has(message)),
  };
}
