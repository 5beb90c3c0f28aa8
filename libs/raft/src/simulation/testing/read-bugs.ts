import type { InjectedBug } from './injected-bug.js';

/** Linearizable reads. */
export const READ_BUGS: readonly InjectedBug[] = [
  {
    name: 'read index without a quorum round',
    what: 'A leader answers reads at its commit index without asking whether it still leads.',
    rule: 'thesis, 6.4; paper, 8',
    whoMadeIt: 'etcd 0.4 and Consul 0.3 (stale reads after a partition; Jepsen, 2014)',
    edits: [
      {
        file: 'libs/raft/src/core/replication/replication.ts',
        find: '(this.followers.get(voter)?.ackedRound ?? 0)',
        replace: 'this.round',
      },
    ],
  },
  {
    name: 'reads share a round that has left',
    what: 'A read counts answers to a round that began before it came.',
    rule: 'thesis, 6.4',
    whoMadeIt: 'who batches reads one too many',
    edits: [
      {
        file: 'libs/raft/src/core/replication/replication.ts',
        find: '    if (!this.roundIsOpen) this.round++;\n    this.roundIsOpen = true;\n',
        replace:
          '    if (this.round === 0 || this.confirmedRound() >= this.round + 1) this.round++;\n    this.roundIsOpen = true;\n',
      },
    ],
  },
  {
    name: 'read before an entry of the term',
    what: 'A new leader answers reads before it has committed in its term, so it does not know what is committed.',
    rule: 'thesis, 6.4, step 1; paper, 8',
    whoMadeIt: 'who implements the round and skips the step before it',
    edits: [
      {
        file: 'libs/raft/src/core/leader.ts',
        find: 'if (!this.isReady() || !isKnown) return false;',
        replace: 'if (!isKnown) return false;',
      },
    ],
  },
  {
    name: 'read before apply',
    what: 'A read is let through when its index is confirmed, not when it is applied.',
    rule: 'thesis, 6.4, step 4',
    whoMadeIt: 'who takes committed for applied',
    edits: [
      {
        file: 'libs/raft/src/driver/linearizable-reads.ts',
        find: 'const ready = this.applying.filter(({ index }) => index <= appliedIndex);',
        replace: 'const ready = this.applying.filter(({ index }) => index > -appliedIndex);',
      },
      {
        file: 'libs/raft/src/driver/linearizable-reads.ts',
        find: 'this.applying = this.applying.filter(({ index }) => index > appliedIndex);',
        replace: 'this.applying = [];',
      },
    ],
  },
  {
    name: 'request ids begin anew',
    what: 'A restarted node numbers its read requests from 1 again, and takes late answers for new ones.',
    rule: 'this library: ids begin at random',
    whoMadeIt: 'who counts requests from the start of the process',
    edits: [
      {
        file: 'libs/raft/src/driver/raft-node.ts',
        find: 'const firstRequestId = randomInteger(options.random, 1, MAXIMUM_FIRST_REQUEST_ID);',
        replace: 'const firstRequestId = 1;',
      },
    ],
  },
  {
    name: 'lease longer than the clocks allow',
    what: 'The lease runs from the answer of the quorum and for the longest election timeout.',
    rule: 'thesis, 6.4.1',
    whoMadeIt: 'who counts a lease from the answer, not from the question',
    edits: [
      {
        file: 'libs/raft/src/driver/read-lease.ts',
        find: 'this.durationMs = (options.electionTicks - 1) * options.tickMs * (1 - options.maximumClockDrift);',
        replace: 'this.durationMs = 2 * options.electionTicks * options.tickMs;',
      },
    ],
  },
  {
    name: 'lease kept during a transfer',
    what: 'A leader that has asked another node to stand for election goes on reading under its lease.',
    rule: 'thesis, 6.4.1, last paragraph',
    whoMadeIt: 'who adds transfers to leases',
    edits: [
      {
        file: 'libs/raft/src/core/leader.ts',
        find: 'return this.isReady() && !this.hasCalledElection;',
        replace: 'return this.isReady();',
      },
    ],
  },
  {
    name: 'late answer ends the hold',
    what: 'A voter takes over a later term from an answer to its own old request, forgets its leader with it and votes.',
    rule: 'thesis, 4.2.3 and 6.4.1',
    whoMadeIt: 'this library until it was searched from outside; etcd/raft takes over terms from answers, too',
    edits: [
      {
        file: 'libs/raft/src/core/election/voter.ts',
        find: 'return !knowledge.isLeader; // a late',
        replace: 'return false; // a late',
      },
    ],
  },
  {
    name: 'a restarted voter forgets the lease',
    what: 'With lease reads a voter votes at once after its start, although the leader counts on it.',
    rule: 'thesis, 6.4.1; this library: silence after a start',
    whoMadeIt: 'who keeps the time since the last heartbeat in memory only',
    edits: [
      {
        file: 'libs/raft/src/driver/raft-node.ts',
        find: 'votesAtOnce: leaseReads === undefined,',
        replace: 'votesAtOnce: leaseReads !== null,',
      },
    ],
  },
];
