import { crc32 } from 'node:zlib';
import { unreachable } from '@concordat/foundation';
import type { Address } from '../../membership/addressing.js';
import type { Incarnation, Message, NodeId } from '../../types.js';
import { between, FIRST_INCARNATION, TEST_GROUP_ID } from '../members.js';
import { Fields, parseInteger } from './fields.js';
import {
  configurationOf,
  formatConfiguration,
  formatData,
  formatEntries,
  formatPosition,
  nameOf,
  parseData,
  parseEntries,
} from './notation.js';
import { ScriptError } from './script-error.js';

/** `1->2 request-vote term=2 last=1@1`; a field that is 0, false or empty is left out where that is usual. */
export function formatMessage(message: Message): string {
  return [nameOf(message), ...detailsOf(message)].join(' ');
}

function detailsOf(message: Message): string[] {
  switch (message.type) {
    case 'request-pre-vote':
      return [`last=${message.lastLogIndex}@${message.lastLogTerm}`];
    case 'request-vote':
      return [`last=${message.lastLogIndex}@${message.lastLogTerm}`, ...(message.transfer ? ['transfer'] : [])];
    case 'pre-vote-reply':
    case 'request-vote-reply':
      return [message.granted ? 'granted' : 'refused'];
    case 'append-entries': {
      const { previousIndex, previousTerm, commitIndex, entries } = message;
      const list = entries.length === 0 ? [] : [`entries=[${formatEntries(entries)}]`];
      return [`previous=${previousIndex}@${previousTerm}`, `commit=${commitIndex}`, ...roundOf(message), ...list];
    }
    case 'append-entries-accepted':
      return [`match=${message.matchIndex}`, ...roundOf(message)];
    case 'append-entries-refused':
      return [
        `previous=${message.previousIndex}`,
        `hint=${message.hintIndex}@${message.hintTerm}`,
        ...roundOf(message),
      ];
    case 'snapshot-chunk': {
      const { metadata, sizeBytes, offset, data } = message;
      const configuration = formatConfiguration(metadata.configuration).replaceAll(/ ([\d,:]+)/g, '=$1');
      const piece = `offset=${offset} data=${formatData(data)}`;
      return [`snapshot=${formatPosition(metadata)} ${configuration} size=${sizeBytes} ${piece}`];
    }
    case 'snapshot-chunk-reply':
      return [`snapshot=${message.snapshotIndex}@${message.snapshotTerm}`, `next=${message.nextOffset}`];
    case 'timeout-now':
      return [];
    case 'read-index-request':
      return [`id=${message.requestId}`];
    case 'read-index-reply':
      return [`id=${message.requestId}`, `index=${message.index}`];
    case 'introduction':
      return [`last=${message.lastLogIndex}`, `founders=${message.founders}`];
    case 'introduction-reply': {
      const { lastLogIndex, founders, leaderId, knownIncarnation } = message;
      return [`last=${lastLogIndex}`, `founders=${founders}`, `leader=${leaderId}`, `known=${knownIncarnation}`];
    }
    default:
      return unreachable(message, 'message');
  }
}

function roundOf({ round }: { readonly round: number }): string[] {
  return round === 0 ? [] : [`round=${round}`];
}

/** `1->2`; `1->2#2` to the second directory of a node */
export function parseRoute(word: string): Omit<Address, 'term'> {
  const [from, to, ...rest] = word.split('->');
  if (from === undefined || to === undefined || rest.length > 0)
    throw new ScriptError(`${word} is no way; write from->to`);
  const [sender, receiver] = [parseNode(from), parseNode(to)];
  return between(sender.nodeId, receiver.nodeId, sender.incarnation, receiver.incarnation);
}

function parseNode(word: string): { readonly nodeId: NodeId; readonly incarnation: Incarnation } {
  const [nodeId = '', incarnation = String(FIRST_INCARNATION)] = word.split('#');
  return { nodeId: parseInteger(nodeId), incarnation: parseInteger(incarnation) };
}

type Reader = (address: Address, fields: Fields) => Message;

const readers: Record<Message['type'], Reader> = {
  'request-pre-vote': (address, fields) => ({ type: 'request-pre-vote', ...address, ...logEnd(fields) }),
  'pre-vote-reply': (address, fields) => ({ type: 'pre-vote-reply', ...address, granted: isGranted(fields) }),
  'request-vote': (address, fields) => ({
    type: 'request-vote',
    ...address,
    ...logEnd(fields),
    transfer: fields.flag('transfer'),
  }),
  'request-vote-reply': (address, fields) => ({ type: 'request-vote-reply', ...address, granted: isGranted(fields) }),
  'append-entries': (address, fields) => {
    const { index: previousIndex, term: previousTerm } = fields.position('previous');
    const entries = parseEntries((fields.optional('entries') ?? '[]').slice(1, -1));
    const commitIndex = fields.integer('commit', 0);
    const round = fields.integer('round', 0);
    return { type: 'append-entries', ...address, previousIndex, previousTerm, entries, commitIndex, round };
  },
  'append-entries-accepted': (address, fields) => ({
    type: 'append-entries-accepted',
    ...address,
    matchIndex: fields.integer('match'),
    round: fields.integer('round', 0),
  }),
  'append-entries-refused': (address, fields) => {
    const { index: hintIndex, term: hintTerm } = fields.position('hint');
    const previousIndex = fields.integer('previous');
    const round = fields.integer('round', 0);
    return { type: 'append-entries-refused', ...address, previousIndex, hintIndex, hintTerm, round };
  },
  'snapshot-chunk': (address, fields) => {
    const configuration = configurationOf({
      voters: fields.integers('voters'),
      outgoing: fields.integers('outgoing'),
      learners: fields.integers('learners'),
    });
    const metadata = { ...fields.position('snapshot'), configuration };
    const data = parseData(fields.optional('data') ?? '""');
    const sizeBytes = fields.integer('size', data.length);
    const offset = fields.integer('offset', 0);
    const checksum = fields.integer('checksum', crc32(data));
    return { type: 'snapshot-chunk', ...address, metadata, sizeBytes, checksum, offset, data };
  },
  'snapshot-chunk-reply': (address, fields) => {
    const { index: snapshotIndex, term: snapshotTerm } = fields.position('snapshot');
    return {
      type: 'snapshot-chunk-reply',
      ...address,
      snapshotIndex,
      snapshotTerm,
      nextOffset: fields.integer('next'),
    };
  },
  'timeout-now': (address) => ({ type: 'timeout-now', ...address }),
  'read-index-request': (address, fields) => ({
    type: 'read-index-request',
    ...address,
    requestId: fields.integer('id'),
  }),
  'read-index-reply': (address, fields) => ({
    type: 'read-index-reply',
    ...address,
    requestId: fields.integer('id'),
    index: fields.integer('index'),
  }),
  introduction: (address, fields) => ({
    type: 'introduction',
    ...address,
    lastLogIndex: fields.integer('last'),
    founders: fields.integer('founders', 0),
  }),
  'introduction-reply': (address, fields) => ({
    type: 'introduction-reply',
    ...address,
    lastLogIndex: fields.integer('last'),
    founders: fields.integer('founders', 0),
    leaderId: fields.integer('leader', 0),
    knownIncarnation: fields.integer('known', 0),
  }),
};

function logEnd(fields: Fields): { readonly lastLogIndex: number; readonly lastLogTerm: number } {
  const { index, term } = fields.position('last');
  return { lastLogIndex: index, lastLogTerm: term };
}

function isGranted(fields: Fields): boolean {
  const [granted, refused] = [fields.flag('granted'), fields.flag('refused')];
  if (granted === refused) throw new ScriptError('an answer to a candidate is granted or refused');
  return granted;
}

export function isMessageType(word: string): word is Message['type'] {
  return Object.hasOwn(readers, word);
}

/** What `formatMessage` wrote, split into words. A checksum that is not given is that of the data. */
export function parseMessage([route = '', type = '', ...details]: readonly string[]): Message {
  if (!isMessageType(type)) throw new ScriptError(`${type} is no type of message`);
  const fields = new Fields(details);
  const groupId = fields.integer('group', TEST_GROUP_ID);
  const message = readers[type]({ ...parseRoute(route), groupId, term: fields.integer('term') }, fields);
  fields.end();
  return message;
}
