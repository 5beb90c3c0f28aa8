import type { InjectedBug } from './injected-bug.js';

const STATE = 'libs/commit-protocol/src/log/decision-state.ts';

/** Mistakes of the coordinators: in the log, in what they tell, and in what they forget. */
export const COORDINATOR_BUGS: readonly InjectedBug[] = [
  {
    name: 'decision sent before it is in the log',
    what: 'The leader tells the branches its decision while it proposes it.',
    rule: 'section 3: `Decide` before any `commit` and any `abort`',
    by: { sabotage: 'decision-before-append' },
  },
  {
    name: 'abort unlogged',
    what: 'Classical presumed abort: aborts are told without waiting for the log.',
    rule: "section 3: an old leader's abort could meet a new leader's commit",
    by: { sabotage: 'abort-unlogged' },
  },
  {
    name: 'two decisions accepted',
    what: 'The state machine takes a second decision of a transaction and forgets the first.',
    rule: 'AC2; section 2: the first one in the log wins',
    by: { model: 'a leader proposes the opposite of what it has proposed, and the last decision in the log wins' },
  },
  {
    name: 'votes not counted',
    what: 'A `no` is logged as a `yes`, and the commit with it.',
    rule: 'AC3',
    by: { sabotage: 'votes-ignored' },
  },
  {
    name: 'late yes after abort ignored',
    what: 'A vote that comes after the decision is dropped as a duplicate.',
    rule: 'section 4.5: late `yes`: send it the decision',
    by: { model: 'a late yes is ignored after the abort' },
  },
  {
    name: 'new leader acts before its no-op',
    what: 'A new leader answers from a log that lacks what its predecessor had just committed.',
    rule: 'section 4.1',
    by: { model: 'a new leader answers an inquiry before its no-op is applied' },
  },
  {
    name: 'take-over before the backlog is applied',
    what: 'A follower that becomes the leader acts when its no-op is committed, and applies later what it had put off.',
    rule: 'section 4.1',
    by: {
      edits: [
        {
          file: 'libs/raft/src/driver/apply-schedule.ts',
          find: "if (core.role !== 'follower' || core.leaderId === undefined) return true;",
          replace: '',
        },
        {
          file: 'libs/raft/src/driver/node-status.ts',
          find: "leaderReady: role === 'leader' && appliedIndex >= (core?.noOpIndex ?? 0),",
          replace: "leaderReady: role === 'leader' && (core?.commitIndex ?? 0) >= (core?.noOpIndex ?? 0),",
        },
        {
          file: 'libs/raft/src/driver/node-status.ts',
          find: "const ready = core.role === 'leader' && appliedIndex >= core.noOpIndex;",
          replace: "const ready = core.role === 'leader' && core.commitIndex >= core.noOpIndex + appliedIndex * 0;",
        },
      ],
    },
  },
  {
    name: 'inquiry answered without the barrier',
    what: 'A deposed leader presumes an abort without asking whether it still leads.',
    rule: 'section 3: a leader that has passed a read barrier',
    by: { sabotage: 'read-barrier-skipped' },
  },
  {
    name: 'stale reads',
    what: 'A node answers clients from its own state without asking the leader.',
    rule: 'C1',
    by: { sabotage: 'stale-reads' },
  },
  {
    name: 'idempotency kept only in memory',
    what: 'The key of a request is known to the leader that took it, and not to the log.',
    rule: 'C2',
    by: { sabotage: 'key-not-logged' },
  },
  {
    name: 'retention drops an unfinished transaction',
    what: 'Expiry takes what is decided for what has ended, although not every branch is done.',
    rule: 'AC5; section 3: all branches done before `End`',
    by: {
      edits: [
        {
          file: STATE,
          find: 'const highestDropped = this.archive.expire(end);',
          replace: `const highestDropped = this.archive.expire(end);
        for (const { transactionId, decision } of [...this.open.values()]) {
          if (decision && this.open.delete(transactionId)) this.ids.delete(transactionId);
        }`,
        },
      ],
    },
    seeds: { family: 'endurance' },
  },
  {
    name: 'expiry by own clock',
    what: 'A node forgets ended transactions by a clock of its own, not by the log.',
    rule: 'section 2: the state machine is deterministic',
    by: { sabotage: 'expires-alone' },
  },
  {
    name: "deadline by the follower's clock",
    what: 'Every node aborts what is late by its own clock, not by a record of the leader.',
    rule: "section 2: the leader's time enters only as a field of a record",
    by: { sabotage: 'deadline-by-own-clock' },
  },
  {
    name: 'forgotten transaction presumed aborted',
    what: 'What is older than the retention is answered as what was never logged: with abort.',
    rule: 'section 3: it answers `unknown-old` instead and raises an alert',
    by: {
      edits: [
        {
          file: 'apps/coordinator/src/transactions/leadership/presumed-abort.ts',
          find: 'if (!log.state.mayHaveExpired(transactionId)) {',
          replace: 'if (transactionId) {',
        },
      ],
    },
    seeds: { family: 'endurance' },
  },
  {
    name: 'keys freed at the first vote',
    what: 'The work of the next transaction with a key leaves when a branch of the one before has voted.',
    rule: 'admission by keys: they are freed at the decision',
    by: {
      edits: [
        {
          file: 'apps/coordinator/src/transactions/leadership/leader-session.ts',
          find: "case 'vote':",
          replace: "case 'vote':\n        this.leaveAdmission(message.transactionId);",
        },
      ],
    },
  },
  {
    name: 'disk acknowledges early',
    what: 'A disk says that it has written what it will write in 20 ms.',
    rule: 'section 3: committed means on a majority of disks',
    by: { sabotage: 'disk-acknowledges-early' },
  },
];
