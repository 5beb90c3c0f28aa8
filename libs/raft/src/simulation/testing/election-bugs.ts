import type { InjectedBug } from './injected-bug.js';

const STUDENTS_GUIDE = 'MIT students (Gjengset, "Students\' Guide to Raft", 2016)';

/** Votes, terms and who may lead. */
export const ELECTION_BUGS: readonly InjectedBug[] = [
  {
    name: 'vote not persisted',
    what: 'The term reaches the disk, the vote does not.',
    rule: 'paper, figure 2, persistent state',
    whoMadeIt: 'a classic of first implementations; figure 2 names it for that reason',
    edits: [
      {
        file: 'libs/raft/src/storage/record.ts',
        find: 'at = writeUint53(buffer, record.hardState.vote, at);',
        replace: 'at = writeUint53(buffer, 0, at);',
      },
    ],
  },
  {
    name: 'answers before the term is persisted',
    what: 'A change of term or vote alone does not hold back the answer that depends on it.',
    rule: 'paper, figure 2: "updated on stable storage before responding"',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/log/persistence.ts',
        find: '      this.handed.term !== term ||\n      this.handed.vote !== vote ||\n      this.pendingSnapshot',
        replace: '      this.pendingSnapshot',
      },
    ],
  },
  {
    name: 'no up-to-date check',
    what: 'A vote goes to any candidate that asks first.',
    rule: 'paper, 5.4.1',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/log/log.ts',
        find: 'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);',
        replace: 'return lastTerm + lastIndex >= 0;',
      },
    ],
  },
  {
    name: 'the longer log wins',
    what: 'The up-to-date check compares lengths and forgets terms.',
    rule: 'paper, 5.4.1',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/log/log.ts',
        find: 'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);',
        replace: 'return lastTerm >= 0 && lastIndex >= this.lastIndex;',
      },
    ],
  },
  {
    name: 'repeated votes count',
    what: 'A candidate counts answers, not voters; a doubled message is two votes.',
    rule: 'paper, 5.2',
    whoMadeIt: 'implementations with a counter in place of a set',
    edits: [
      {
        file: 'libs/raft/src/core/election/vote-tally.ts',
        find: "import { hasQuorum } from '../membership/quorum.js';",
        replace: "import { quorumSize } from '../membership/quorum.js';",
      },
      {
        file: 'libs/raft/src/core/election/vote-tally.ts',
        find: '=== incarnation) this.granted.add(voter);',
        replace: '=== incarnation) this.granted.add(voter);\n    this.answers = (this.answers ?? 0) + 1;',
      },
      {
        file: 'libs/raft/src/core/election/vote-tally.ts',
        find: 'return hasQuorum(this.configuration, (voter) => this.granted.has(voter));',
        replace: 'return this.answers >= quorumSize(this.configuration.voters.length);',
      },
    ],
  },
  {
    name: 'two votes in a term',
    what: 'A voter does not look whether it has voted in this term.',
    rule: 'paper, 5.2',
    whoMadeIt: STUDENTS_GUIDE,
    edits: [
      {
        file: 'libs/raft/src/core/election/voter.ts',
        find: 'const isFree = this.vote === message.from || (this.vote === 0 && knownLeader === undefined);',
        replace: 'const isFree = knownLeader === undefined;',
      },
    ],
  },
  {
    name: 'pre-vote held back by a stale lease',
    what: 'A node that waits for its own pre-votes still holds on to the dead leader and refuses those of others.',
    rule: 'thesis, 9.6 with 4.2.3',
    whoMadeIt: 'combinations of pre-vote and check-quorum; several were repaired in etcd/raft',
    edits: [
      {
        file: 'libs/raft/src/core/raft.ts',
        find: "const role: PreCandidateRole = { type: 'pre-candidate', tally: this.newTally(), repetitionsLeft };",
        replace:
          "const role = { type: 'pre-candidate' as const, tally: this.newTally(), repetitionsLeft, leaderId: this.leaderId };",
      },
      {
        file: 'libs/raft/src/core/raft.ts',
        find: "return this.currentRole.type === 'follower' ? this.currentRole.leaderId : undefined;",
        replace: 'return (this.currentRole as { readonly leaderId?: NodeId }).leaderId;',
      },
      {
        file: 'libs/raft/src/core/election/voter.ts',
        find: 'return isLeader || (knownLeader !== undefined && this.timer.isWithinMinimum());',
        replace: 'return isLeader || knownLeader !== undefined;',
      },
    ],
  },
  {
    name: 'votes and goes on collecting pre-votes',
    what: 'A pre-candidate that votes for another stays one, and stands against it when its pre-votes come.',
    rule: 'thesis, 9.6',
    whoMadeIt: 'this library until it was compared with etcd/raft',
    edits: [
      {
        file: 'libs/raft/src/core/raft.ts',
        find: "    if (granted && this.currentRole.type === 'pre-candidate') this.becomeFollower(this.currentTerm, undefined);\n",
        replace: '',
      },
    ],
  },
  {
    name: 'leads with a disk that hangs',
    what: 'A leader waits for its own write as long as it takes, and sends heartbeats meanwhile.',
    rule: 'this library: a leader whose write does not return for three election timeouts leads no more',
    whoMadeIt: 'most implementations; operators met it with cloud disks that stall and do not fail',
    edits: [
      {
        file: 'libs/raft/src/core/raft.ts',
        find: 'if (this.persistence.isHung) this.handOverAndLeave(leader);',
        replace: 'if (this.persistence.isHung && this.currentTerm < 0) this.handOverAndLeave(leader);',
      },
    ],
  },
];
