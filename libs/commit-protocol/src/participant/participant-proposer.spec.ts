import { describe, expect, it } from '@jest/globals';
import { FIRST_BALLOT } from '../ballots/ballot.js';
import type { ParticipantEffect } from './participant.types.js';
import {
  TRANSACTION,
  PARTICIPANT,
  ACCEPTORS,
  SELF,
  by,
  promise,
  message,
  prepare,
  decide,
  due,
  undecided,
  voted,
  ended,
  unknown,
  request,
  asked,
  answered,
  answer,
  opened,
  notOpened,
  short,
  type Step,
} from '../testing/participant-steps.js';
import {
  machine,
  OWN,
  ownPromise,
  ownAccept,
  WAITING,
  OPENED,
  PROMISED,
  play,
} from '../testing/branch-ballot-steps.js';

const PROPOSER: [string, readonly Step[]][] = [
  ['opens a ballot when it has waited too long, and asks the others', OPENED],
  [
    'asks its own database like the others, proposes abort when nobody has accepted, and tells all',
    [
      ...PROMISED,
      [answered(ownAccept('abort'), { type: 'accepted', ballot: OWN }), []],
      [
        answer(3, { type: 'accepted', ballot: OWN }),
        ['to 2: abort', 'to 3: abort', 'to coordinators: branches decided abort', 'run-abort'],
      ],
      [ended('aborted'), ['done aborted']],
    ],
  ],
  [
    'decides with a majority that it is not part of',
    [
      ...PROMISED,
      [answer(2, { type: 'accepted', ballot: OWN }), []],
      [
        answer(3, { type: 'accepted', ballot: OWN }),
        ['to 2: abort', 'to 3: abort', 'to coordinators: branches decided abort'],
      ],
      [unknown, ['run-abort']],
    ],
  ],
  [
    'proposes what it has accepted itself',
    [
      ...WAITING,
      [due, ['open-ballot']],
      [opened(OWN, { ballot: FIRST_BALLOT, value: 'commit' }), ['to 2: promise 1.1', 'to 3: promise 1.1']],
      [
        answer(3, { type: 'promised', ballot: OWN }),
        ['to 2: accept 1.1 commit', 'to 3: accept 1.1 commit', 'run-ballot accept 1.1 commit'],
      ],
    ],
  ],
  [
    'proposes what another has accepted',
    [
      ...OPENED,
      [
        answer(3, { type: 'promised', ballot: OWN, accepted: { ballot: FIRST_BALLOT, value: 'commit' } }),
        ['to 2: accept 1.1 commit', 'to 3: accept 1.1 commit', 'run-ballot accept 1.1 commit'],
      ],
    ],
  ],
  [
    'proposes it also when another has no vote, and says once that this one has forgotten it',
    [
      ...OPENED,
      [answer(2, { type: 'abstains', ballot: OWN, dissents: true }), []],
      [
        answer(3, { type: 'promised', ballot: OWN, accepted: { ballot: FIRST_BALLOT, value: 'commit' } }),
        [
          'to 2: accept 1.1 commit',
          'to 3: accept 1.1 commit',
          'alert ACCEPTOR_AMNESIA',
          'run-ballot accept 1.1 commit',
        ],
      ],
      [answer(2, { type: 'promised', ballot: OWN, dissents: true }), []],
      [answer(3, { type: 'accepted', ballot: OWN }), []],
      [
        answered(ownAccept('commit'), { type: 'accepted', ballot: OWN }),
        ['to 2: commit', 'to 3: commit', 'to coordinators: branches decided commit, 2 forgot', 'run-commit'],
      ],
    ],
  ],
  [
    'decides nothing because another has no vote',
    [
      ...OPENED,
      [answer(2, { type: 'promised', ballot: OWN, dissents: true }), PROMISED.at(-1)![1]],
      [answer(2, { type: 'accepted', ballot: OWN, dissents: true }), []],
    ],
  ],
  [
    'adopts a decision that another knows',
    [
      ...OPENED,
      [
        answer(2, { type: 'decided', decision: 'commit' }),
        ['to 2: commit', 'to 3: commit', 'to coordinators: branches decided commit', 'run-commit'],
      ],
      [answer(3, { type: 'decided', decision: 'commit' }), []],
    ],
  ],
  [
    'gives up before a higher ballot, and opens another one when it is due again',
    [
      ...OPENED,
      [answer(3, { type: 'outbid', ballot: OWN, promised: by(2, 3) }), []],
      [answer(2, { type: 'promised', ballot: OWN }), []],
      [due, ['open-ballot']],
      [opened(by(3, 1)), ['to 2: promise 3.1', 'to 3: promise 3.1']],
      [answer(2, { type: 'promised', ballot: OWN }), []],
    ],
  ],
  [
    'opens a higher ballot when it is due again and nobody has answered',
    [...OPENED, [due, ['open-ballot']], [opened(by(2, 1)), ['to 2: promise 2.1', 'to 3: promise 2.1']]],
  ],
  [
    'opens none twice at once',
    [
      ...WAITING,
      [due, ['open-ballot']],
      [due, []],
      [opened(OWN), ['to 2: promise 1.1', 'to 3: promise 1.1', 'open-ballot']],
      [due, []],
    ],
  ],
  [
    'answers who asks before it opens its own',
    [
      ...WAITING,
      [asked(promise(by(1, 3)), 3), ['run-ballot promise 1.3']],
      [asked(promise(by(1, 2)), 2), []],
      [due, []],
      [
        answered(request(promise(by(1, 3)), 3), { type: 'promised', ballot: by(1, 3) }),
        ['to 3: promised', 'run-ballot promise 1.2'],
      ],
      [unknown, ['open-ballot']],
    ],
  ],
  [
    'opens none when the database has ended the branch, or has no vote of it',
    [
      ...WAITING,
      [due, ['open-ballot']],
      [notOpened({ type: 'decided', decision: 'commit' }), []],
      [due, ['open-ballot']],
      [notOpened({ type: 'not-an-acceptor' }), []],
      [due, ['open-ballot']],
      [unknown, []],
    ],
  ],
  [
    'opens none for what has ended by itself',
    [
      [prepare(), ['run-prepare']],
      [voted('no'), ['vote no']],
      [due, []],
    ],
  ],
  [
    'opens none once it knows the decision, and drops one that was being opened',
    [
      ...WAITING,
      [due, ['open-ballot']],
      [decide('commit'), []],
      [opened(OWN), ['run-commit']],
      [answer(2, { type: 'promised', ballot: OWN }), []],
      [ended('committed'), ['done committed']],
      [due, []],
    ],
  ],
  [
    'drops its ballot when another branch tells it the decision',
    [
      ...PROMISED,
      [decide('abort'), []],
      [answered(ownAccept('abort'), { type: 'accepted', ballot: OWN }), ['run-abort']],
      [answer(3, { type: 'accepted', ballot: OWN }), []],
    ],
  ],
  [
    'is not stopped by being told that nothing is decided: who times it does that',
    [...OPENED, [undecided, []], [answer(2, { type: 'promised', ballot: OWN }), PROMISED.at(-1)![1]]],
  ],
  [
    'carries the decision out again when no coordinator is there to repeat it',
    [
      ...PROMISED,
      [answered(ownAccept('abort'), { type: 'accepted', ballot: OWN }), []],
      [
        answer(3, { type: 'accepted', ballot: OWN }),
        ['to 2: abort', 'to 3: abort', 'to coordinators: branches decided abort', 'run-abort'],
      ],
      [due, []],
      [unknown, []],
      [due, ['run-abort']],
      [ended('aborted'), ['done aborted']],
      [due, []],
    ],
  ],
];

describe('protocol 6: a branch as a proposer', () => {
  it.each(PROPOSER)('%s', (_, steps) => play(steps));

  it('sends the set with every request, and its own name for the answer', () => {
    const subject = machine();
    let effects: readonly ParticipantEffect[] = [];
    for (const [event] of OPENED) effects = subject.step(event);
    expect(effects).toEqual(
      ACCEPTORS.slice(1).map((to) => {
        const sent = { ...ownPromise, ...to };
        return { type: 'send', message: sent };
      }),
    );
  });

  it('of two branches of one participant each has a ballot of its own', () => {
    const acceptors = ACCEPTORS.map((acceptor) => ({ ...acceptor, participant: PARTICIPANT }));
    const subject = machine();
    const open = (number: number): readonly ParticipantEffect[] => {
      const branch = { transactionId: TRANSACTION, ...acceptors[number - 1]! };
      subject.step(message({ ...branch, type: 'termination-due' }));
      const ballot = { type: 'opened', ballot: by(1, number), accepted: undefined, acceptors } as const;
      return subject.step({ type: 'ballot-opened', branch, opened: ballot });
    };
    expect(open(1).map(short)).toEqual(['to 2: promise 1.1', 'to 3: promise 1.1']);
    expect(open(2).map(short)).toEqual(['to 1: promise 1.2', 'to 3: promise 1.2']);
  });

  it('that is forgotten in between comes to nothing, and a later ballot to something', () => {
    const subject = machine({ rememberedTransactions: 1 });
    for (const [event] of OPENED) subject.step(event);
    const other = { ...SELF, transactionId: '01890000-0000-7000-8000-000000000002' };
    subject.step(message({ ...other, type: 'undecided' })); // takes the only place
    expect(subject.step(answer(2, { type: 'promised', ballot: OWN }))).toEqual([]);
    expect(subject.step(answer(2, { type: 'decided', decision: 'commit' }))).toEqual([]);
    subject.step(message({ ...other, type: 'undecided' }));
    expect(subject.step(due).map(short)).toEqual(['open-ballot']);
    subject.step(opened(by(2, 1)));
    expect(subject.step(answer(3, { type: 'decided', decision: 'commit' })).map(short)).toContain('run-commit');
  });

  it('is never forgotten while the database has something of it in hand', () => {
    const subject = machine({ rememberedTransactions: 0 });
    for (const [event] of [...WAITING, [due] as const]) subject.step(event);
    expect([subject.busyCount, subject.rememberedCount]).toEqual([1, 0]);
    subject.step(message({ ...SELF, transactionId: '01890000-0000-7000-8000-000000000002', type: 'undecided' }));
    expect(subject.step(opened(OWN)).map(short)).toEqual(['to 2: promise 1.1', 'to 3: promise 1.1']);
    expect([subject.busyCount, subject.rememberedCount]).toEqual([0, 0]);
  });
});
