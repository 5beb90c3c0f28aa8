import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import { markdownTable } from '@concordat/foundation/testing';
import { objectionTo } from './permissions.js';
import { accessOf, type AccessOperation } from './access.js';
import type { MessageSender } from './authenticity.js';
import { Namespace } from './namespace.js';
import { messageSchemas } from './schemas.js';
import type { Topic } from './topics.js';

const OPTIONS = { cluster: 'local' };
const DOCUMENT = path.resolve(import.meta.dirname, '../../../../docs/security.md');
const START = '<!-- made from libs/messaging/src/contract/topic-rules.spec.ts; do not edit -->\n';
const END = '\n<!-- end of what is made -->';

/** A coordinator, the participant a that is spoken to, and another one. */
const ROLES: readonly (readonly [name: string, sender: MessageSender, participant: string | undefined])[] = [
  ['coordinators', 'coordinator', undefined],
  ['the participant', 'participant:a', 'a'],
  ['other participants', 'participant:b', 'b'],
];

const branch = (participant: string) => ({ transactionId: `t`, branchId: `of ${participant}`, participant });
const address = branch('a');
const ballot = { round: 1, proposer: 1 };
const proposer = branch('b');

/** Each kind of message to or from the participant a; a new kind does not compile without one. */
const SAMPLES: Readonly<Record<ProtocolMessage['type'], readonly ProtocolMessage[]>> = {
  prepare: [
    {
      ...address,
      type: 'prepare',
      protocol: '2pc',
      operations: [],
      deadline: 1,
      attempt: 0,
      epoch: { term: 1, index: 1 },
    },
  ],
  'commit-one-phase': [{ ...address, type: 'commit-one-phase', operations: [], deadline: 1, attempt: 0 }],
  decision: [{ ...address, type: 'decision', decision: 'commit', attempt: 0 }],
  ruling: [{ ...address, type: 'ruling', ruling: 'commit', attempt: 0 }],
  undecided: [{ ...address, type: 'undecided' }],
  'unknown-old': [{ ...address, type: 'unknown-old' }],
  'termination-due': [{ ...address, type: 'termination-due' }],
  'ballot-request': [
    { ...address, type: 'ballot-request', request: { type: 'promise', ballot }, acceptors: [address] },
    { ...address, type: 'ballot-request', request: { type: 'promise', ballot }, acceptors: [address], proposer },
  ],
  'ballot-answer': [
    { ...address, type: 'ballot-answer', answer: { type: 'abstains', ballot } },
    { ...proposer, type: 'ballot-answer', answer: { type: 'abstains', ballot }, proposer: address },
  ],
  'branches-decided': [{ ...address, type: 'branches-decided', decision: 'abort' }],
  vote: [{ ...address, type: 'vote', vote: 'yes', results: [] }],
  done: [{ ...address, type: 'done', end: 'committed' }],
  inquiry: [{ ...address, type: 'inquiry', gid: 'x' }],
  announce: [{ type: 'announce', participant: 'a', operations: [] }],
  outcome: [{ type: 'outcome', transactionId: 't', outcome: 'mixed', decidedAt: 1, endedAt: 2, participants: ['a'] }],
};

/** The topics as their type says, each with the name that it has for the participant a. */
function topics(): readonly { readonly name: string; readonly topic: Topic }[] {
  const file = path.join(import.meta.dirname, 'topics.ts');
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const type = source.statements.filter(ts.isTypeAliasDeclaration).find(({ name }) => name.text === 'Topic')?.type;
  if (!type || !ts.isUnionTypeNode(type)) throw new TypeError('Topic is no union');
  return type.types.map((member) => {
    const name = member.getText(source).replace(/['`]/g, '').replace('${string}', '<participant>');
    return { name, topic: name.replace('<participant>', 'a') as Topic };
  });
}

function may(participant: string | undefined, operation: AccessOperation, topic: Topic): boolean {
  const wanted = new Namespace(OPTIONS).topic(topic);
  return accessOf(OPTIONS, participant).some(({ resource, name, pattern, operations }) => {
    const isMeant = pattern === 'prefixed' ? wanted.startsWith(name) : wanted === name;
    return resource === 'topic' && isMeant && operations.includes(operation);
  });
}

const rolesWith = (operation: AccessOperation, topic: Topic): string[] =>
  ROLES.filter(([, , participant]) => may(participant, operation, topic)).map(([name]) => name);

/** Who may say which kinds of messages there. */
function saidOn(topic: Topic): readonly (readonly [role: string, participant: string | undefined, type: string])[] {
  return ROLES.flatMap(([role, sender, participant]) =>
    Object.entries(SAMPLES).flatMap(([type, messages]) =>
      messages.some((message) => objectionTo(sender, topic, message) === undefined)
        ? [[role, participant, type] as const]
        : [],
    ),
  );
}

function withTable(document: string): string {
  const [before, rest, ...more] = document.split(START);
  if (before === undefined || rest === undefined || more.length > 0)
    throw new TypeError('the marks are not there once');
  const rows = topics().map(({ name, topic }) => {
    const said = ROLES.flatMap(([role]) => {
      const types = saidOn(topic).flatMap(([by, , type]) => (by === role ? [`\`${type}\``] : []));
      return types.length > 0 ? [`${role}: ${types.join(', ')}`] : [];
    });
    const read = rolesWith('Read', topic);
    return [
      `\`${name}\``,
      rolesWith('Write', topic).join(', '),
      read.length > 0 ? read.join(', ') : 'nobody of these: for people and subscribers',
      said.length > 0 ? said.join('; ') : 'no messages: what was refused, with the reason',
    ];
  });
  const table = markdownTable(
    ['topic', 'written by', 'read by', 'who may say what there, if messages are signed'],
    rows,
  );
  return `${before}${START}\n${table}\n${rest.slice(rest.indexOf(END))}`;
}

describe('every topic', () => {
  it.each(topics().map(({ name, topic }) => [name, topic] as const))(
    '%s has a rule who writes to it',
    (_name, topic) => {
      expect(rolesWith('Write', topic)).not.toEqual([]);
    },
  );

  it('is written by those that may say something there, and read by those to whom it is said', () => {
    for (const { topic } of topics()) {
      const said = saidOn(topic);
      for (const [role, participant, type] of said) {
        expect([topic, role, type, may(participant, 'Write', topic)]).toEqual([topic, role, type, true]);
      }
      if (said.length === 0 || topic === 'outcomes') continue;
      const reader = topic === 'replies' ? undefined : 'a';
      expect([topic, may(reader, 'Read', topic)]).toEqual([topic, true]);
      expect([topic, may('b', 'Read', topic)]).toEqual([topic, false]); // what others are sent
    }
  });

  it('of a new kind would have no rights, and nobody could say anything there', () => {
    const strange = 'rumours' as Topic;
    expect([rolesWith('Write', strange), rolesWith('Read', strange), saidOn(strange)]).toEqual([[], [], []]);
  });

  it('stands in docs/security.md (CONCORDAT_UPDATE_DOCS=1 writes the table anew)', () => {
    const expected = withTable(readFileSync(DOCUMENT, 'utf8'));
    if (process.env['CONCORDAT_UPDATE_DOCS'] === '1') writeFileSync(DOCUMENT, expected);
    expect(readFileSync(DOCUMENT, 'utf8')).toBe(expected);
  });
});

describe('every kind of message', () => {
  it.each(Object.keys(messageSchemas))('%s has a sender and a topic, and is refused everywhere else', (type) => {
    const samples = SAMPLES[type as ProtocolMessage['type']];
    const places = topics().flatMap(({ topic }) =>
      ROLES.map(([, sender]) => samples.map((message) => objectionTo(sender, topic, message) === undefined)),
    );
    const allowed = places.flat().filter(Boolean).length;
    expect(allowed).toBeGreaterThanOrEqual(1);
    expect(allowed).toBeLessThan(places.flat().length / 2);
  });
});
