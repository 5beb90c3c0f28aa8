import { describe, it } from '@jest/globals';
import { FIRST_BALLOT } from '../ballots/ballot.js';
import {
  idOf,
  ACCEPTORS,
  by,
  promise,
  accept,
  prepare,
  decide,
  rule,
  due,
  ended,
  unknown,
  request,
  asked,
  answered,
  answer,
  opened,
  type Step,
} from '../testing/participant-steps.js';
import { OWN, WAITING, OPENED, PROMISED, play } from '../testing/branch-ballot-steps.js';

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

describe('protocol 6: a branch', () => {
  it.each(NOT_ANY_MORE)('%s', (_, steps) => play(steps));
});

describe('protocol 6: ignored, and loudly where it cannot be by chance', () => {
  it.each(FORGED)('%s', (_, steps) => play(steps));
});
