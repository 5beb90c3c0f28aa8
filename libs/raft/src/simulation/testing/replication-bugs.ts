import type { InjectedBug } from './injected-bug.js';

const STUDENTS_GUIDE = 'MIT students (Gjengset, "Students\' Guide to Raft", 2016)';

/** The log: what is appended, acknowledged, committed and answered. */
export const REPLICATION_BUGS: readonly InjectedBug[] = [
  {
    name: 'older term committed by counting',
    what: 'A leader commits an entry of an earlier term as soon as a majority has it.',
    rule: 'paper, 5.4.2 and figure 8',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/leader.ts',
        find: 'if (index <= this.log.commitIndex || this.log.term(index) !== this.options.term) return;',
        replace: 'if (index <= this.log.commitIndex) return;',
      },
    ],
  },
  {
    name: 'old message truncates',
    what: 'A follower cuts its log behind every message, also where the entries are the same.',
    rule: 'paper, figure 2, AppendEntries step 3',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/log/log.ts',
        find: 'const firstNew = entries.findIndex((entry) => !this.matches(entry.index, entry.term));',
        replace: 'const firstNew = 0;',
      },
    ],
  },
  {
    name: 'committed entries truncated',
    what: 'The same, without the guard for what is committed.',
    rule: 'paper, 5.3 and figure 3, leader completeness',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/log/log.ts',
        find: 'const firstNew = entries.findIndex((entry) => !this.matches(entry.index, entry.term));',
        replace: 'const firstNew = 0;',
      },
      {
        file: 'libs/raft/src/core/log/log.ts',
        find: "    invariant(index > this.commit, 'committed entries are never truncated');\n",
        replace: '',
      },
      {
        file: 'libs/raft/src/core/replication/follower.ts',
        find: 'if (message.previousIndex <= log.commitIndex) return acceptFromCommitted(log, message);',
        replace: 'if (message.previousIndex < log.startIndex) return acceptFromCommitted(log, message);',
      },
    ],
  },
  {
    name: 'heartbeats are not checked',
    what: 'A message without entries is accepted whatever the entry before it is.',
    rule: 'paper, figure 2, AppendEntries step 2',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/replication/follower.ts',
        find: 'if (!log.matches(message.previousIndex, message.previousTerm)) return refuse(log, message);',
        replace:
          'if (message.entries.length > 0 && !log.matches(message.previousIndex, message.previousTerm)) return refuse(log, message);\n' +
          "  if (message.previousIndex > log.lastIndex) return { type: 'accepted', matchIndex: message.previousIndex };",
      },
    ],
  },
  {
    name: 'commit index beyond what matched',
    what: 'A follower commits its own tail, which the message did not confirm.',
    rule: 'paper, figure 2, AppendEntries step 5: "index of last new entry"',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/replication/follower.ts',
        find: '  log.merge(message.entries);\n  const lastIndex = message.previousIndex + message.entries.length;\n  log.commitTo(Math.min(message.commitIndex, lastIndex));',
        replace:
          '  log.merge(message.entries);\n  const lastIndex = message.previousIndex + message.entries.length;\n  log.commitTo(Math.min(message.commitIndex, log.lastIndex));',
      },
    ],
  },
  {
    name: 'acknowledges its whole log',
    what: 'A follower answers with the end of its log, not with the end of what the message confirmed.',
    rule: 'paper, 5.3',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/replication/follower.ts',
        find: "  return { type: 'accepted', matchIndex: lastIndex };\n}\n\n/**\n * A message that begins",
        replace: "  return { type: 'accepted', matchIndex: log.lastIndex };\n}\n\n/**\n * A message that begins",
      },
    ],
  },
  {
    name: 'late answer moves matchIndex',
    what: 'A leader takes an answer for one to what it has sent last.',
    rule: 'paper, figure 2; thesis, 10.2.1',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/replication/replication.ts',
        find: 'follower.matched(answer.matchIndex);',
        replace: 'follower.matched(follower.nextIndex - 1);',
      },
    ],
  },
  {
    name: 'acknowledges before fsync',
    what: 'Answers leave at once, beside the write that they depend on.',
    rule: 'paper, figure 2: "updated on stable storage before responding"',
    whoMadeIt: 'systems that acknowledge from memory',
    edits: [
      {
        file: 'libs/raft/src/core/log/promise-gate.ts',
        find: 'if (!dirty && !inflight) return this.send(message);',
        replace: 'if (dirty || inflight || true) return this.send(message);',
      },
    ],
  },
  {
    name: 'leader counts what it has not written',
    what: "The leader's own entries count towards the majority while its write is still under way.",
    rule: 'thesis, 10.2.1',
    whoMadeIt: 'implementations that write in parallel with sending',
    edits: [
      {
        file: 'libs/raft/src/core/replication/replication.ts',
        find: 'voter === this.options.nodeId ? this.log.persistedIndex :',
        replace: 'voter === this.options.nodeId ? this.log.lastIndex :',
      },
    ],
  },
  {
    name: 'lost leadership reported as failure',
    what: 'Proposals whose fate is unknown are answered with "not committed".',
    rule: 'this library: committed, definitely not, or unknown',
    whoMadeIt: 'Redis-Raft among others (aborted reads; Jepsen, 2020)',
    edits: [
      {
        file: 'libs/raft/src/driver/pending-proposals.ts',
        find: 'for (const pending of lost) this.finish(pending).reject(new ProposalUnknownError(pending.index, pending.term));',
        replace:
          "for (const pending of lost) this.finish(pending).reject(new ProposalDroppedError('STOPPED', 'leadership was lost'));",
      },
    ],
  },
  {
    name: 'answers by index without the term',
    what: 'Whatever is applied at its index answers a proposal, also after leadership was lost.',
    rule: 'paper, 8',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/driver/pending-proposals.ts',
        find: 'if (pending.term === term) pending.resolve({ index, term, result });',
        replace: 'if (pending.term > 0) pending.resolve({ index, term, result });',
      },
      {
        file: 'libs/raft/src/driver/raft-node.ts',
        find: 'if (this.leadingTerm !== 0) this.proposals.rejectUnknownAfter(core.commitIndex);',
        replace: '',
      },
    ],
  },
  {
    name: 'each refusal sends the window again',
    what: 'A refusal counts also when it is about a message from before the leader last went back.',
    rule: 'this library: refusals of earlier rounds are ignored; etcd/raft, Progress.MaybeDecrTo',
    whoMadeIt: 'this library until it was driven with messages in disorder',
    edits: [
      {
        file: 'libs/raft/src/core/replication/progress.ts',
        find: '    if (round < this.refusalsFromRound) return false;\n',
        replace: '',
      },
    ],
  },
];
