import { describe, expect, it } from '@jest/globals';
import type {
  CommitOnePhaseMessage,
  CoordinatorMessage,
  DecisionMessage,
  OperatorRulingMessage,
  TwoPhasePrepareMessage,
} from '../vocabulary/messages.js';
import { ParticipantMachine } from './participant.js';
import type { BranchVote, ParticipantEffect, ParticipantEvent } from './participant.types.js';
import type { Decision } from '../vocabulary/types.js';

const T1 = '01890000-0000-7000-8000-000000000001';
const T2 = '01890000-0000-7000-8000-000000000002';
const B1 = '01890000-0000-7000-8000-00000000000b';
const B2 = '01890000-0000-7000-8000-00000000000c';

const address = (transactionId = T1, branchId = B1) => ({ transactionId, branchId, participant: 'bank-a' });

function prepare(change: Partial<TwoPhasePrepareMessage> = {}): TwoPhasePrepareMessage {
  return {
    ...address(),
    type: 'prepare',
    protocol: '2pc',
    operations: [],
    deadline: 0,
    attempt: 0,
    epoch: { term: 1, index: 1 },
    ...change,
  };
}

function onePhase(change: Partial<CommitOnePhaseMessage> = {}): CommitOnePhaseMessage {
  return { ...address(), type: 'commit-one-phase', operations: [], deadline: 0, attempt: 0, ...change };
}

function decide(decision: Decision, change: Partial<DecisionMessage> = {}): DecisionMessage {
  return { ...address(), type: 'decision', decision, attempt: 0, ...change };
}

function rule(ruling: Decision, attempt = 0): OperatorRulingMessage {
  return { ...address(), type: 'ruling', ruling, attempt };
}

const message = (of: CoordinatorMessage): ParticipantEvent => ({ type: 'message', message: of });
const voted = (vote: BranchVote['vote'], branch = address()): ParticipantEvent => ({
  type: 'voted',
  branch,
  result: { vote, results: vote === 'no' ? [] : [1], ...(vote === 'no' && { error: { code: 'X', message: 'x' } }) },
});
const ended = (
  end: 'committed' | 'aborted' | 'heuristic-rollback' | 'heuristic-commit',
  branch = address(),
): ParticipantEvent => ({
  type: 'ended',
  branch,
  end,
});
const unknown: ParticipantEvent = { type: 'unknown', branch: address() };

function short(effect: ParticipantEffect): string {
  switch (effect.type) {
    case 'reply': {
      const what = effect.message.type === 'vote' ? effect.message.vote : effect.message.end;
      return `${effect.message.type} ${what}${effect.prompt ? '' : ' lazily'}`;
    }
    case 'alert':
      return `alert ${effect.code}`;
    default:
      return effect.type;
  }
}

function machine(options: { rememberedTransactions?: number } = {}) {
  return new ParticipantMachine({ participant: 'bank-a', ...options });
}

/** Each row: a name, then pairs of an event and the effects it must have. */
const SCENARIOS: [string, [ParticipantEvent, string[]][]][] = [
  [
    'prepare, yes, commit, and the commit again',
    [
      [message(prepare()), ['run-prepare']],
      [voted('yes'), ['vote yes']],
      [message(decide('commit')), ['run-commit']],
      [ended('committed'), ['done committed lazily']],
      [message(decide('commit', { attempt: 1 })), ['done committed lazily']],
    ],
  ],
  [
    'the end of a branch that a process held is told at once: somebody waits for it',
    [
      [message(prepare({ heldBy: 'bank-a-1' })), ['run-prepare']],
      [voted('yes'), ['vote yes']],
      [message(decide('commit', { heldBy: 'bank-a-1' })), ['run-commit']],
      [ended('committed'), ['done committed']],
    ],
  ],
  [
    'a repeated prepare is dropped while its work runs and answered from memory afterwards',
    [
      [message(prepare()), ['run-prepare']],
      [message(prepare({ attempt: 1 })), []],
      [voted('yes'), ['vote yes']],
      [message(prepare({ attempt: 2 })), ['vote yes']],
    ],
  ],
  [
    'an attempt without a known end is repeated when its prepare comes again',
    [
      [message(prepare()), ['run-prepare']],
      [unknown, []],
      [message(prepare({ attempt: 1 })), ['run-prepare']],
    ],
  ],
  [
    'the prepare of a deposed leader is dropped',
    [
      [message(prepare({ transactionId: T2, epoch: { term: 5, index: 9 } })), ['run-prepare']],
      [message(prepare({ epoch: { term: 4, index: 7 } })), []],
      [message(prepare({ epoch: { term: 5, index: 9 } })), ['run-prepare']],
    ],
  ],
  [
    'the prepare of a leader that nobody can have elected yet is dropped, and does not make others look deposed',
    [
      [message(prepare({ transactionId: T2, epoch: { term: 5, index: 9 } })), ['run-prepare']],
      [message(prepare({ epoch: { term: 2 ** 40, index: 7 } })), ['alert IMPOSSIBLE_TERM']],
      [message(prepare({ epoch: { term: 5, index: 9 } })), ['run-prepare']],
    ],
  ],
  [
    'a new leader is a reason to ask about everything: it may not know what the one before was doing',
    [
      [message(prepare({ transactionId: T2, epoch: { term: 5, index: 9 } })), ['run-prepare']],
      [message(prepare({ epoch: { term: 6, index: 12 } })), ['inquire-all', 'run-prepare']],
    ],
  ],
  [
    'decisions are not fenced',
    [
      [message(prepare({ transactionId: T2, epoch: { term: 5, index: 9 } })), ['run-prepare']],
      [message(decide('abort')), ['run-abort']],
    ],
  ],
  [
    'a decision waits behind its own prepare, and the vote is not sent any more',
    [
      [message(prepare()), ['run-prepare']],
      [message(decide('abort')), ['cancel-work']],
      [voted('yes'), ['run-abort']],
      [ended('aborted'), ['done aborted lazily']],
    ],
  ],
  [
    'an abort that meets a no has its tombstone already',
    [
      [message(prepare()), ['run-prepare']],
      [message(decide('abort')), ['cancel-work']],
      [voted('no'), ['done aborted lazily']],
    ],
  ],
  [
    'a decision of one transaction does not wait for another',
    [
      [message(prepare({ transactionId: T2 })), ['run-prepare']],
      [message(decide('commit')), ['run-commit']],
    ],
  ],
  [
    'two branches of one transaction go one after the other',
    [
      [message(prepare()), ['run-prepare']],
      [message(decide('commit', { branchId: B2 })), []],
      [voted('yes'), ['vote yes', 'run-commit']],
    ],
  ],
  [
    'abort overtakes prepare: the late prepare is answered no',
    [
      [message(decide('abort')), ['run-abort']],
      [message(prepare()), []],
      [ended('aborted'), ['done aborted lazily']],
      [message(prepare({ attempt: 1 })), ['vote no']],
    ],
  ],
  [
    'a prepare after the commit is answered yes',
    [
      [message(decide('commit')), ['run-commit']],
      [ended('committed'), ['done committed lazily']],
      [message(prepare()), ['vote yes']],
    ],
  ],
  [
    'a decision whose end is not known is carried out when it comes again',
    [
      [message(decide('commit')), ['run-commit']],
      [message(decide('commit', { attempt: 1 })), []],
      [unknown, []],
      [message(decide('commit', { attempt: 2 })), ['run-commit']],
    ],
  ],
  [
    'two decisions stop the branch',
    [
      [message(prepare()), ['run-prepare']],
      [voted('yes'), ['vote yes']],
      [message(decide('commit')), ['run-commit']],
      [message(decide('abort')), ['alert CONFLICTING_DECISIONS']],
      [ended('committed'), []],
      [message(decide('commit')), []],
      [message(prepare({ attempt: 9 })), []],
    ],
  ],
  [
    'a stopped branch that had not begun its decision keeps everything',
    [
      [message(prepare()), ['run-prepare']],
      [message(decide('commit')), ['cancel-work']],
      [message(decide('abort')), ['alert CONFLICTING_DECISIONS']],
      [voted('yes'), []],
    ],
  ],
  [
    'a commit that finds nothing is a hazard',
    [
      [message(decide('commit')), ['run-commit']],
      [ended('heuristic-rollback'), ['alert HEURISTIC_OUTCOME', 'done heuristic-rollback lazily']],
    ],
  ],
  [
    'a commit after a no is a hazard',
    [
      [message(prepare()), ['run-prepare']],
      [voted('no'), ['vote no']],
      [message(decide('commit')), ['alert HEURISTIC_OUTCOME', 'done heuristic-rollback lazily']],
    ],
  ],
  [
    'a read-only branch has nothing to commit',
    [
      [message(prepare()), ['run-prepare']],
      [voted('read-only'), ['vote read-only']],
      [message(prepare({ attempt: 1 })), ['vote read-only']],
      [message(decide('commit')), ['done read-only lazily']],
    ],
  ],
  [
    'a read-only branch that is aborted gets its tombstone',
    [
      [message(prepare()), ['run-prepare']],
      [voted('read-only'), ['vote read-only']],
      [message(decide('abort')), ['run-abort']],
    ],
  ],
  [
    'a delegated commit is answered at once and again from memory',
    [
      [message(onePhase()), ['run-one-phase']],
      [message(onePhase({ attempt: 1 })), []],
      [{ type: 'concluded', branch: address(), result: { end: 'committed', results: [] } }, ['done committed']],
      [message(onePhase({ attempt: 2 })), ['done committed']],
      [message(decide('commit')), ['done committed lazily']],
      [message(decide('abort')), ['alert CONFLICTING_DECISIONS']],
    ],
  ],
  [
    'an operator has a branch rolled back that was to commit: a hazard, answered again and again',
    [
      [message(prepare()), ['run-prepare']],
      [voted('yes'), ['vote yes']],
      [message(rule('abort')), ['run-ruling']],
      [message(rule('abort', 1)), []],
      [message(decide('commit')), []],
      [ended('aborted'), ['alert HEURISTIC_OUTCOME', 'done heuristic-rollback lazily']],
      [message(rule('abort', 2)), ['done heuristic-rollback lazily']],
      [message(decide('commit', { attempt: 1 })), ['done heuristic-rollback lazily']],
      [message(prepare({ attempt: 1 })), ['vote no']],
    ],
  ],
  [
    'an operator has a branch committed that was to roll back, after a restart of the participant',
    [
      [message(rule('commit')), ['run-ruling']],
      [ended('committed'), ['alert HEURISTIC_OUTCOME', 'done heuristic-commit lazily']],
      [message(decide('abort')), ['done heuristic-commit lazily']],
    ],
  ],
  [
    'a ruling without a known end is carried out when it comes again',
    [
      [message(rule('abort')), ['run-ruling']],
      [unknown, []],
      [message(rule('abort', 1)), ['run-ruling']],
    ],
  ],
  [
    'a ruling that comes while the decision is carried out is too late',
    [
      [message(decide('commit')), ['run-commit']],
      [message(rule('abort')), []],
      [ended('committed'), ['done committed lazily']],
      [message(rule('abort', 1)), ['done committed lazily']],
    ],
  ],
  [
    'a ruling goes before the decision that could not be carried out',
    [
      [message(decide('commit')), ['run-commit']],
      [message(rule('abort')), []],
      [unknown, ['run-ruling']],
      [ended('aborted'), ['alert HEURISTIC_OUTCOME', 'done heuristic-rollback lazily']],
    ],
  ],
  [
    'a ruling that finds the decision carried out changes nothing and says so',
    [
      [message(rule('abort')), ['run-ruling']],
      [ended('heuristic-commit'), ['done committed lazily']],
    ],
  ],
  [
    'a ruling to commit that finds nothing changes nothing and says so',
    [
      [message(rule('commit')), ['run-ruling']],
      [ended('heuristic-rollback'), ['done aborted lazily']],
    ],
  ],
  [
    'a ruling ends a branch that two decisions had stopped',
    [
      [message(prepare()), ['run-prepare']],
      [message(decide('commit')), ['cancel-work']],
      [message(decide('abort')), ['alert CONFLICTING_DECISIONS']],
      [voted('yes'), []],
      [message(rule('abort')), ['run-ruling']],
    ],
  ],
  [
    'an answer that nobody knows the transaction is an alert and nothing else',
    [[message({ ...address(), type: 'unknown-old' }), ['alert UNKNOWN_OLD_TRANSACTION']]],
  ],
  ['a message for another participant is ignored', [[message(prepare({ participant: 'bank-b' })), []]]],
];

describe('ParticipantMachine', () => {
  it.each(SCENARIOS)('%s', (_, steps) => {
    const subject = machine();
    for (const [event, expected] of steps) expect(subject.step(event).map(short)).toEqual(expected);
  });

  it('answers a repeat with the same results', () => {
    const subject = machine();
    subject.step(message(prepare()));
    const [first] = subject.step(voted('yes'));
    const [again] = subject.step(message(prepare({ attempt: 1 })));
    expect(again).toEqual(first);
  });

  it('carries out the decision again on a branch that is found prepared after its end', () => {
    const subject = machine();
    subject.step(message(prepare()));
    subject.step(voted('yes'));
    subject.step(message(decide('commit')));
    subject.foundPrepared(T1, B1); // in hand: what was found may be from before
    subject.step(ended('committed'));
    expect(subject.step(message(decide('commit', { attempt: 1 }))).map(({ type }) => type)).toEqual(['reply']);
    subject.foundPrepared(T1, B1); // restored from a backup
    expect(subject.step(message(decide('commit', { attempt: 2 }))).map(({ type }) => type)).toEqual(['run-commit']);
  });

  it('keeps a branch stopped that is found prepared', () => {
    const subject = machine();
    subject.step(message(decide('commit')));
    subject.step(message(decide('abort')));
    subject.step(ended('committed'));
    subject.foundPrepared(T1, B1);
    expect(subject.step(message(decide('commit', { attempt: 1 })))).toEqual([]);
  });

  it('forgets the longest idle transactions, never what is in hand, and never that a branch was stopped', () => {
    const subject = machine({ rememberedTransactions: 2 });
    const id = (n: number): string => `01890000-0000-7000-8000-0000000001${String(n).padStart(2, '0')}`;
    subject.step(message(prepare({ transactionId: id(0) }))); // stays in hand
    subject.step(message(decide('commit', { transactionId: id(1) })));
    subject.step(message(decide('abort', { transactionId: id(1) })));
    subject.step(ended('committed', address(id(1)))); // stopped
    for (let n = 2; n < 20; n++) {
      subject.step(message(decide('abort', { transactionId: id(n) })));
      subject.step(ended('aborted', address(id(n))));
    }
    expect(subject.rememberedCount).toBe(2);
    expect(subject.busyCount).toBe(1);
    expect(subject.isIdle(id(0))).toBe(false);
    expect(subject.view(id(1), B1)).toMatchObject({ stopped: true });
    expect(subject.view(id(19), B1)).toEqual({ decision: 'abort', end: 'aborted', stopped: false, running: false });
    expect(subject.view(id(2), B1)).toBeUndefined();
  });

  it('remembers no more branches of a transaction than it can have, but those that were stopped', () => {
    const subject = machine();
    const branch = (n: number) => ({ branchId: `01890000-0000-7000-8000-000000001${String(n).padStart(3, '0')}` });
    subject.step(message(decide('commit', branch(0))));
    subject.step(message(decide('abort', branch(0))));
    subject.step(ended('committed', { ...address(T1), ...branch(0) })); // stopped
    for (let n = 1; n < 200; n++) subject.step(message({ ...address(T1), ...branch(n), type: 'undecided' }));
    const remembered = Array.from({ length: 200 }, (_, n) => n).filter((n) => subject.view(T1, branch(n).branchId));
    expect(remembered).toEqual([0, ...Array.from({ length: 63 }, (_, n) => 137 + n)]);
  });
});
