import { describe, expect, it } from '@jest/globals';
import { FIRST_BALLOT, type BallotAnswer } from '../ballots/ballot.js';
import {
  acceptorsOf,
  by,
  promise,
  accept,
  message,
  prepare,
  decide,
  voted,
  ended,
  unknown,
  request,
  asked,
  answered,
  numberOf,
  short,
  type Step,
} from '../testing/participant-steps.js';
import { machine, OWN, WAITING, play } from '../testing/branch-ballot-steps.js';

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
