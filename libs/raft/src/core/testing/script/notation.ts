import { decodeConfiguration, encodeConfiguration } from '../../membership/configuration-codec.js';
import type { Configuration, Entry, EntryKind, Incarnation, Message, NodeId } from '../../types.js';
import { FIRST_INCARNATION, knownMember, TEST_GROUP_ID } from '../members.js';
import { parseIntegers, parsePosition, wordsOf } from './fields.js';
import { ScriptError } from './script-error.js';

/*
 * How scripts write entries and configurations; whatever is printed can be read back.
 *
 *     3@2              an entry without data, index 3 of term 2
 *     3@2 "x"          a command;   3@2 (200 bytes)   a long one
 *     2@2 no-op        what a leader opens its term with
 *     4@2 voters 1,2,4 outgoing 1,2,3 learners 5
 */

const MAXIMUM_TEXT_LENGTH = 24;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function formatPosition(position: { readonly index: number; readonly term: number }): string {
  return `${position.index}@${position.term}`;
}

export function formatData(data: Uint8Array): string {
  const text = decoder.decode(data);
  return text.length > MAXIMUM_TEXT_LENGTH || text.includes('"') ? `(${data.length} bytes)` : `"${text}"`;
}

/** `"text"` or `(n bytes)` */
export function parseData(word: string): Uint8Array {
  const text = /^"(.*)"$/.exec(word)?.[1];
  if (text !== undefined) return encoder.encode(text);
  const length = /^\((\d+) bytes\)$/.exec(word)?.[1];
  if (length === undefined) throw new ScriptError(`${word} is no data; write "text" or (n bytes)`);
  return encoder.encode('.'.repeat(Number(length)));
}

/**
 * `voters 1,2 outgoing 1,2,3 learners 4 priorities 2:10 incarnations 2:2 next 2:3 returning 2`, the parts that are empty
 * left out. Members live in their first directory where nothing is said.
 */
export function formatConfiguration({ voters, outgoing, learners, members }: Configuration): string {
  const parts = [`voters ${voters.join(',')}`];
  if (outgoing.length > 0) parts.push(`outgoing ${outgoing.join(',')}`);
  if (learners.length > 0) parts.push(`learners ${learners.join(',')}`);
  const preferred = members.filter(({ priority }) => priority > 0);
  if (preferred.length > 0)
    parts.push(`priorities ${preferred.map(({ nodeId, priority }) => `${nodeId}:${priority}`).join(',')}`);
  const later = members.filter(({ incarnation }) => incarnation > FIRST_INCARNATION);
  if (later.length > 0)
    parts.push(`incarnations ${later.map(({ nodeId, incarnation }) => `${nodeId}:${incarnation}`).join(',')}`);
  const replaced = members.filter(({ nextIncarnation }) => nextIncarnation > 0);
  if (replaced.length > 0)
    parts.push(`next ${replaced.map(({ nodeId, nextIncarnation }) => `${nodeId}:${nextIncarnation}`).join(',')}`);
  const returning = members.filter((member) => member.returning);
  if (returning.length > 0) parts.push(`returning ${returning.map(({ nodeId }) => nodeId).join(',')}`);
  return members.length === 0 ? 'nobody' : parts.join(' ');
}

/** `2:10,3:5`: numbers of nodes, such as priorities. */
export function parsePriorities(word: string): Map<NodeId, number> {
  if (word === '') return new Map();
  return new Map(
    word.split(',').map((pair) => {
      const [nodeId, priority] = parseIntegers(pair.replace(':', ','));
      if (nodeId === undefined || priority === undefined) throw new ScriptError(`${pair} is no priority of a node`);
      return [nodeId, priority];
    }),
  );
}

/** A configuration with a member for every node that is named. */
export function configurationOf(lists: {
  readonly voters: readonly NodeId[];
  readonly outgoing?: readonly NodeId[];
  readonly learners?: readonly NodeId[];
  readonly priorities?: ReadonlyMap<NodeId, number>;
  readonly incarnations?: ReadonlyMap<NodeId, number>;
  readonly next?: ReadonlyMap<NodeId, number>;
  readonly returning?: readonly NodeId[];
}): Configuration {
  const { voters, outgoing = [], learners = [], priorities, incarnations, next, returning = [] } = lists;
  const named = [...new Set([...voters, ...outgoing, ...learners])].sort((left, right) => left - right);
  const members = named.map((nodeId) =>
    knownMember(nodeId, {
      priority: priorities?.get(nodeId) ?? 0,
      incarnation: incarnations?.get(nodeId) ?? FIRST_INCARNATION,
      nextIncarnation: next?.get(nodeId) ?? 0,
      returning: returning.includes(nodeId),
    }),
  );
  return { groupId: TEST_GROUP_ID, members, voters, outgoing, learners };
}

/** What `formatConfiguration` wrote, split into words. */
export function parseConfiguration(words: readonly string[]): Configuration {
  const lists = new Map<string, string>();
  for (let position = 0; position < words.length; position += 2) lists.set(words[position]!, words[position + 1] ?? '');
  const listOf = (name: string): number[] => {
    const word = lists.get(name) ?? '';
    lists.delete(name);
    return parseIntegers(word);
  };
  const numbersOf = (name: string): Map<NodeId, number> => {
    const word = lists.get(name) ?? '';
    lists.delete(name);
    return parsePriorities(word);
  };
  const configuration = configurationOf({
    voters: listOf('voters'),
    outgoing: listOf('outgoing'),
    learners: listOf('learners'),
    priorities: numbersOf('priorities'),
    incarnations: numbersOf('incarnations'),
    next: numbersOf('next'),
    returning: listOf('returning'),
  });
  if (lists.size > 0) throw new ScriptError(`a configuration has no ${[...lists.keys()].join(', ')}`);
  return configuration;
}

export function formatEntry(entry: Entry): string {
  return `${formatPosition(entry)}${formatContent(entry)}`;
}

function formatContent({ kind, data }: Entry): string {
  if (kind === 'no-op') return ' no-op';
  if (kind === 'normal') return data.length === 0 ? '' : ` ${formatData(data)}`;
  const configuration = decodeConfiguration(data);
  return ` ${configuration ? formatConfiguration(configuration) : 'unsound configuration'}`;
}

export function parseEntry(text: string): Entry {
  const [position = '', ...content] = wordsOf(text);
  const entryWith = (kind: EntryKind, data: Uint8Array): Entry => ({ ...parsePosition(position), kind, data });
  const [first] = content;
  if (first === undefined) return entryWith('normal', new Uint8Array(0));
  if (first === 'no-op') return entryWith('no-op', new Uint8Array(0));
  if (first === 'voters') return entryWith('configuration', encodeConfiguration(parseConfiguration(content)));
  return entryWith('normal', parseData(first));
}

/** Entries of one list are separated by semicolons. */
export function formatEntries(entries: readonly Entry[]): string {
  return entries.map(formatEntry).join('; ');
}

export function parseEntries(text: string): Entry[] {
  return text === '' ? [] : text.split(';').map((entry) => parseEntry(entry.trim()));
}

/** `1->2 append-entries of term 3`, for lines that only name a message. */
export function nameOf({ from, to, fromIncarnation, toIncarnation, groupId, type, term }: Message): string {
  const group = groupId > TEST_GROUP_ID ? [`group=${groupId}`] : [];
  const route = `${from}${suffixOf(fromIncarnation)}->${to}${suffixOf(toIncarnation)}`;
  return [route, type, `term=${term}`, ...group].join(' ');
}

/** `#2` of the second directory of a node; nothing of the first, and for whoever has an id. */
function suffixOf(incarnation: Incarnation): string {
  return incarnation > FIRST_INCARNATION ? `#${incarnation}` : '';
}
