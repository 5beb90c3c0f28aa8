import { describe, expect, it } from '@jest/globals';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import type { MessageSender } from './authenticity.js';
import type { Topic } from './topics.js';
import { objectionTo } from './permissions.js';

const address = {
  transactionId: '018f2d3c-1111-7abc-8def-0123456789ab',
  branchId: '018f2d3c-2222-7abc-8def-0123456789ab',
  participant: 'a',
};
const [A, B] = ['participant:a', 'participant:b'] as const;
const acceptors = [{ branchId: address.branchId, participant: 'a' }];
const proposer = { branchId: '018f2d3c-3333-7abc-8def-0123456789ab', participant: 'b' };
const ballot = { round: 1, proposer: 1 };
const request = { type: 'promise', ballot } as const;
const answer = { type: 'abstains', ballot } as const;
const work = { ...address, operations: [], deadline: 1, attempt: 0 };
const prepare = { ...work, type: 'prepare', protocol: '2pc', epoch: { term: 1, index: 1 } } as const;

const SENDERS: readonly MessageSender[] = ['coordinator', A, B];
const TOPICS: readonly Topic[] = [
  'replies',
  'outcomes',
  'dead-letter',
  'prepare.a',
  'decide.a',
  'prepare.b',
  'decide.b',
];

describe('who may say what, and where', () => {
  it.each<[string, ProtocolMessage, readonly string[]]>([
    ['prepare', prepare, ['coordinator prepare.a']],
    ['a delegated commit', { ...work, type: 'commit-one-phase' }, ['coordinator prepare.a']],
    [
      'a decision, which a participant may only hint at',
      { ...address, type: 'decision', decision: 'commit', attempt: 0 },
      ['coordinator decide.a', `${A} decide.a`, `${B} decide.a`],
    ],
    ['a ruling', { ...address, type: 'ruling', ruling: 'commit', attempt: 0 }, ['coordinator decide.a']],
    ['that it is undecided', { ...address, type: 'undecided' }, ['coordinator decide.a']],
    ['that it is too old', { ...address, type: 'unknown-old' }, ['coordinator decide.a']],
    ['that a ballot is due', { ...address, type: 'termination-due' }, [`${A} decide.a`]],
    ['a ballot of coordinators', { ...address, type: 'ballot-request', request, acceptors }, ['coordinator decide.a']],
    ['a ballot of a branch', { ...address, type: 'ballot-request', request, acceptors, proposer }, [`${B} decide.a`]],
    ['an answer to coordinators', { ...address, type: 'ballot-answer', answer }, [`${A} replies`]],
    ['an answer to a branch', { ...address, type: 'ballot-answer', answer, proposer }, [`${A} decide.b`]],
    ['what branches decided', { ...address, type: 'branches-decided', decision: 'abort' }, [`${A} replies`]],
    ['a vote', { ...address, type: 'vote', vote: 'yes', results: [] }, [`${A} replies`]],
    ['an end', { ...address, type: 'done', end: 'committed' }, [`${A} replies`]],
    ['an inquiry', { ...address, type: 'inquiry', gid: 'x' }, [`${A} replies`]],
    ['an announcement', { type: 'announce', participant: 'a', operations: [] }, [`${A} replies`]],
    [
      'an outcome',
      {
        type: 'outcome',
        transactionId: address.transactionId,
        outcome: 'mixed',
        decidedAt: 1,
        endedAt: 2,
        participants: ['a'],
      },
      ['coordinator outcomes'],
    ],
  ])('%s', (_, message, allowed) => {
    const found: string[] = [];
    for (const sender of SENDERS) {
      for (const topic of TOPICS) {
        const objection = objectionTo(sender, topic, message);
        if (objection === undefined) found.push(`${sender} ${topic}`);
        else expect(objection).toContain(`${message.type}: ${sender} may not say this on ${topic}; only `);
      }
    }
    expect(found).toEqual(allowed);
  });
});
