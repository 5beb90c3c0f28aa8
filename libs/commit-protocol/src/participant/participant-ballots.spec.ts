import { describe, expect, it } from '@jest/globals';
import { FIRST_BALLOT, type BallotAnswer } from '../ballots/ballot.js';
import type { BallotRequestMessage } from '../vocabulary/messages.js';
import { ParticipantMachine } from './participant.js';
import type { ParticipantEffect } from './participant.types.js';
import type { Decision } from '../vocabulary/types.js';
import {
  TRANSACTION,
  PARTICIPANT,
  idOf,
  acceptorsOf,
  ACCEPTORS,
  SELF,
  by,
  promise,
  accept,
  message,
  prepare,
  decide,
  rule,
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
  numberOf,
  short,
  type Step,
} from '../testing/participant-steps.js';

function machine(options: { rememberedTransactions?: number } = {}): ParticipantMachine {
  return new ParticipantMachine({ participant: PARTICIPANT, ...options });
}

const OWN = by(1, 1);
const ownPromise = request(promise(OWN), 1);
const ownAccept = (value: Decision): BallotRequestMessage => request(accept(OWN, value), 1);
const WAITING: readonly Step[] = [
  [prepare(), ['run-prepare']],
  [voted('yes'), ['vote yes']],
];
/** It has opened its ballot and asked the others. */
const OPENED: readonly Step[] = [
  ...WAITING,
  [due, ['open-ballot']],
  [opened(OWN), ['to 2: promise 1.1', 'to 3: promise 1.1']],
];
/** One other has promised: a majority, and nobody has accepted anything. */
const PROMISED: readonly Step[] = [
  ...OPENED,
  [
    answer(2, { type: 'promised', ballot: OWN }),
    ['to 2: accept 1.1 abort', 'to 3: accept 1.1 abort', 'run-ballot accept 1.1 abort'],
  ],
];

const ACCEPTOR: [string, readonly Step[]][] = [
  [
    'answers a coordinator when the database has',
    [
      ...WAITING,
      [asked(accept(FIRST_BALLOT, 'commit')), ['run-ballot accept 0.0 commit']],
      [
        answered(request(accept(FIRST_BALLOT, 'commit')), { type: 'accepted', ballot: FIRST_BALLOT }),
        ['to coordinators: accepted'],
      ],
    ],
  ],
  [
    'answers the branch that has asked',
    [
      ...WAITING,
      [asked(promise(by(1, 3)), 3), ['run-ballot promise 1.3']],
      [answered(request(promise(by(1, 3)), 3), { type: 'promised', ballot: by(1, 3) }), ['to 3: promised']],
    ],
  ],
  [
    'asks the database also when it knows nothing: its process may be new',
    [
      [asked(promise(by(1, 3)), 3), ['run-ballot promise 1.3']],
      [answered(request(promise(by(1, 3)), 3), { type: 'decided', decision: 'abort' }), ['to 3: decided']],
    ],
  ],
  [
    'without a vote says so when it accepts the commit, and to its operator that it must have forgotten it',
    [
      [asked(accept(by(1, 3), 'commit'), 3), ['run-ballot accept 1.3 commit']],
      [
        answered(request(accept(by(1, 3), 'commit'), 3), { type: 'accepted', ballot: by(1, 3), dissents: true }),
        ['alert ACCEPTOR_AMNESIA', 'to 3: accepted'],
      ],
      [asked(accept(by(1, 3), 'abort'), 3), ['run-ballot accept 1.3 abort']],
      [
        answered(request(accept(by(1, 3), 'abort'), 3), { type: 'accepted', ballot: by(1, 3), dissents: true }),
        ['to 3: accepted'],
      ],
    ],
  ],
  [
    'says nothing when the database does not',
    [
      ...WAITING,
      [asked(promise(by(1, 3)), 3), ['run-ballot promise 1.3']],
      [unknown, []],
      [asked(promise(by(1, 3)), 3), ['run-ballot promise 1.3']],
    ],
  ],
  [
    'lets a ballot wait behind its work, which comes to a vote first',
    [
      [prepare(), ['run-prepare']],
      [asked(promise(by(1, 3)), 3), []],
      [voted('yes'), ['vote yes', 'run-ballot promise 1.3']],
    ],
  ],
  [
    'lets a decision go before ballots, which are answered after it',
    [
      ...WAITING,
      [asked(promise(by(1, 2)), 2), ['run-ballot promise 1.2']],
      [asked(promise(by(1, 3)), 3), []],
      [decide('commit'), []],
      [
        answered(request(promise(by(1, 2)), 2), { type: 'promised', ballot: by(1, 2) }),
        ['to 2: promised', 'run-commit'],
      ],
      [ended('committed'), ['done committed', 'run-ballot promise 1.3']],
      [answered(request(promise(by(1, 3)), 3), { type: 'decided', decision: 'commit' }), ['to 3: decided']],
    ],
  ],
  [
    'lets a later request of the same proposer replace one that still waits',
    [
      ...WAITING,
      [asked(promise(by(1, 2)), 2), ['run-ballot promise 1.2']],
      [asked(promise(by(1, 3)), 3), []],
      [asked(promise(by(2, 3)), 3), []],
      [
        answered(request(promise(by(1, 2)), 2), { type: 'promised', ballot: by(1, 2) }),
        ['to 2: promised', 'run-ballot promise 2.3'],
      ],
      [answered(request(promise(by(2, 3)), 3), { type: 'promised', ballot: by(2, 3) }), ['to 3: promised']],
    ],
  ],
  [
    'answers its prepare again while a ballot is in hand',
    [...WAITING, [asked(promise(by(1, 3)), 3), ['run-ballot promise 1.3']], [prepare({ attempt: 1 }), ['vote yes']]],
  ],
  [
    'begins its work only after a ballot that overtook its prepare, and the database then knows better',
    [
      [asked(promise(by(1, 3)), 3), ['run-ballot promise 1.3']],
      [prepare(), []],
      [
        answered(request(promise(by(1, 3)), 3), { type: 'decided', decision: 'abort' }),
        ['to 3: decided', 'run-prepare'],
      ],
      [voted('no'), ['vote no']],
    ],
  ],
  [
    'that only read ends by the decision of the others, with a ballot in hand too',
    [
      [prepare(), ['run-prepare']],
      [voted('read-only'), ['vote read-only']],
      [asked(promise(by(1, 3)), 3), ['run-ballot promise 1.3']],
      [decide('commit'), ['done read-only']],
      [answered(request(promise(by(1, 3)), 3), { type: 'promised', ballot: by(1, 3) }), ['to 3: promised']],
    ],
  ],
];

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

const NOT_ANY_MORE: [string, readonly Step[]][] = [
  [
    'that is ruled on drops its ballot and opens no other, but goes on answering',
    [
      ...OPENED,
      [rule('commit'), ['run-ruling']],
      [due, []],
      [answer(2, { type: 'promised', ballot: OWN }), []],
      [asked(promise(by(2, 3)), 3), []],
      [ended('committed'), ['alert HEURISTIC_OUTCOME', 'done heuristic-commit', 'run-ballot promise 2.3']],
    ],
  ],
  [
    'that is ruled on while it opens a ballot does not run it',
    [...WAITING, [due, ['open-ballot']], [rule('abort'), []], [opened(OWN), ['run-ruling']]],
  ],
  [
    'that two decisions have stopped neither answers nor opens',
    [
      ...OPENED,
      [decide('commit'), ['run-commit']],
      [decide('abort'), ['alert CONFLICTING_DECISIONS']],
      [unknown, []],
      [asked(promise(by(2, 3)), 3), []],
      [due, []],
      [answer(2, { type: 'promised', ballot: OWN }), []],
    ],
  ],
  [
    'that is stopped with a ballot in hand keeps its answer to itself',
    [
      ...WAITING,
      [asked(promise(by(2, 3)), 3), ['run-ballot promise 2.3']],
      [decide('commit'), []],
      [decide('abort'), ['alert CONFLICTING_DECISIONS']],
      [answered(request(promise(by(2, 3)), 3), { type: 'promised', ballot: by(2, 3) }), []],
    ],
  ],
  [
    'that is stopped while it opens a ballot does not run it',
    [
      ...WAITING,
      [due, ['open-ballot']],
      [decide('commit'), []],
      [decide('abort'), ['alert CONFLICTING_DECISIONS']],
      [opened(OWN), []],
    ],
  ],
];

const FORGED: [string, readonly Step[]][] = [
  [
    'an acceptance of its own that comes over the bus and not from its database',
    [
      ...PROMISED,
      [answer(1, { type: 'accepted', ballot: OWN }), []],
      [answer(2, { type: 'accepted', ballot: OWN }), []],
      [
        answer(3, { type: 'accepted', ballot: OWN }),
        ['to 2: abort', 'to 3: abort', 'to coordinators: branches decided abort'],
      ],
    ],
  ],
  [
    'a prepare whose acceptors lack the branch',
    [[prepare({ acceptors: ACCEPTORS.slice(1) }), ['alert IMPOSSIBLE_BALLOT']]],
  ],
  [
    'a prepare whose acceptors name it twice',
    [[prepare({ acceptors: [...ACCEPTORS, ACCEPTORS[0]!] }), ['alert IMPOSSIBLE_BALLOT']]],
  ],
  [
    'a request to a branch that is not of the set',
    [[asked(promise(by(1, 0)), 0, { acceptors: ACCEPTORS.slice(1) }), ['alert IMPOSSIBLE_BALLOT']]],
  ],
  ['a ballot of a branch in the name of another', [[asked(promise(by(1, 2)), 3), ['alert IMPOSSIBLE_BALLOT']]]],
  [
    'a ballot of a branch in the name of the coordinators',
    [[asked(promise(by(1, 2)), 0), ['alert IMPOSSIBLE_BALLOT']]],
  ],
  [
    'a ballot of the coordinators in the name of a branch',
    [[asked(promise(by(1, 0)), 2), ['alert IMPOSSIBLE_BALLOT']]],
  ],
  ['the first ballot of a branch', [[asked(accept(by(0, 2), 'commit'), 2), ['alert IMPOSSIBLE_BALLOT']]]],
  ['a first ballot that asks for promises', [[asked(promise(FIRST_BALLOT)), ['alert IMPOSSIBLE_BALLOT']]]],
  ['a first ballot that proposes abort', [[asked(accept(FIRST_BALLOT, 'abort')), ['alert IMPOSSIBLE_BALLOT']]]],
  [
    'a proposer that is not of the set',
    [
      [
        asked(promise(by(1, 2)), 2, { proposer: { branchId: idOf(9), participant: 'bank-9' } }),
        ['alert IMPOSSIBLE_BALLOT'],
      ],
    ],
  ],
  [
    'a proposer of another participant than the set has',
    [
      [
        asked(promise(by(1, 2)), 2, { proposer: { branchId: idOf(2), participant: 'bank-9' } }),
        ['alert IMPOSSIBLE_BALLOT'],
      ],
    ],
  ],
  [
    'an answer to a ballot that was never opened',
    [...WAITING, [answer(2, { type: 'decided', decision: 'commit' }), []]],
  ],
  [
    'an answer of another participant than the branch has',
    [...OPENED, [answer(2, { type: 'decided', decision: 'commit' }, { participant: 'bank-9' }), []]],
  ],
  [
    'an answer of a stranger',
    [...OPENED, [answer(2, { type: 'decided', decision: 'commit' }, { branchId: idOf(9) }), []]],
  ],
  ['an answer to another ballot', [...OPENED, [answer(2, { type: 'promised', ballot: by(1, 3) }), []]]],
  [
    'an answer that is for the coordinators',
    [...OPENED, [answer(2, { type: 'decided', decision: 'commit' }, { proposer: undefined }), []]],
  ],
  [
    'an answer that is for another participant',
    [...OPENED, [answer(2, { type: 'decided', decision: 'commit' }, { proposer: ACCEPTORS[1]! }), []]],
  ],
  [
    'outbid by less than its own',
    [
      ...OPENED,
      [answer(2, { type: 'outbid', ballot: OWN, promised: FIRST_BALLOT }), []],
      [answer(2, { type: 'promised', ballot: OWN }), PROMISED.at(-1)![1]],
    ],
  ],
];

function play(steps: readonly Step[]): void {
  const subject = machine();
  for (const [event, expected] of steps) expect(subject.step(event).map(short)).toEqual(expected);
}

describe('protocol 6: a branch as an acceptor', () => {
  it.each(ACCEPTOR)('%s', (_, steps) => play(steps));

  it.each([
    { what: 'an own ballot', event: request(promise(OWN), 1) },
    { what: 'a higher one', event: request(promise(by(2, 1)), 1) },
  ])('that is asked over the bus for $what feeds the answer to its own ballot only', ({ event }) => {
    const subject = machine();
    subject.step(message(event));
    const answerOfDatabase: BallotAnswer = { type: 'promised', ballot: event.request.ballot };
    expect(subject.step(answered(event, answerOfDatabase)).map(short)).toEqual([]);
  });

  it('has at most one request of each proposer waiting, and of 65 proposers together', () => {
    const subject = machine();
    const acceptors = acceptorsOf(80);
    for (let round = 1; round <= 3; round++) {
      for (let from = 2; from <= 80; from++) subject.step(asked(promise(by(round, from)), from, { acceptors }));
    }
    const answeredFor: number[] = [];
    let [next] = subject.step(unknown); // the first was brought before the database at once
    while (next?.type === 'run-ballot') {
      answeredFor.push(numberOf(next.request.proposer!.branchId));
      [next] = subject.step(unknown);
    }
    expect(answeredFor).toHaveLength(65);
    expect(new Set(answeredFor).size).toBe(65);
    expect(answeredFor.at(-1)).toBe(80); // the oldest were dropped
  });
});

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

describe('protocol 6: a branch', () => {
  it.each(NOT_ANY_MORE)('%s', (_, steps) => play(steps));
});

describe('protocol 6: ignored, and loudly where it cannot be by chance', () => {
  it.each(FORGED)('%s', (_, steps) => play(steps));
});
