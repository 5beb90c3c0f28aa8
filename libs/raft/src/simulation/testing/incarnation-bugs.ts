import type { InjectedBug } from './injected-bug.js';

/** Whose promises count, when the directory behind an id is another one. */
export const INCARNATION_BUGS: readonly InjectedBug[] = [
  {
    name: 'vote counted without incarnation',
    what: 'A candidate counts the vote of whoever has the id of a voter.',
    rule: 'votes belong to (id, incarnation); paper, figure 2: votedFor is persistent',
    whoMadeIt: 'every implementation in which a member is an id',
    edits: [
      {
        file: 'libs/raft/src/core/election/vote-tally.ts',
        find: 'if (incarnationOf(this.configuration, voter) === incarnation) this.granted.add(voter);',
        replace: 'if (incarnationOf(this.configuration, voter) > 0 || incarnation > 0) this.granted.add(voter);',
      },
      {
        file: 'libs/raft/src/core/membership/addressing.ts',
        find: 'return toIncarnation === 0 || toIncarnation === this.incarnation;',
        replace: 'return toIncarnation >= 0;',
      },
    ],
  },
  {
    name: 'acknowledgement counted without incarnation',
    what: 'A leader counts what whoever has the id of a follower acknowledges.',
    rule: 'acknowledgements belong to (id, incarnation); paper, 5.3',
    whoMadeIt: 'every implementation in which a member is an id',
    edits: [
      {
        file: 'libs/raft/src/core/replication/replication.ts',
        find: '    if (follower.incarnation !== fromIncarnation) {',
        replace: '    if (follower.incarnation === 0 && fromIncarnation > 0) {',
      },
      {
        file: 'libs/raft/src/core/membership/addressing.ts',
        find: 'return toIncarnation === 0 || toIncarnation === this.incarnation;',
        replace: 'return toIncarnation >= 0;',
      },
    ],
  },
  {
    name: 'empty directory founds the group again',
    what: 'A node without a log writes the first entry by itself, whoever else is there.',
    rule: 'a group is founded once, by all of its first members',
    whoMadeIt: 'this library before; etcd has "member has already been bootstrapped" against it',
    edits: [
      {
        file: 'libs/raft/src/driver/raft-node.ts',
        find: 'founds: join !== true,',
        replace: 'founds: join !== undefined,',
      },
      {
        file: 'libs/raft/src/core/membership/newcomer.ts',
        find: '    if (!members.every(agrees)) return undefined;\n',
        replace: '    if (!members.some(agrees)) return undefined;\n',
      },
      {
        file: 'libs/raft/src/core/membership/newcomer.ts',
        find: 'incarnation: member.nodeId === nodeId ? incarnation : present.get(member.nodeId)!.incarnation,',
        replace:
          'incarnation: member.nodeId === nodeId ? incarnation : (present.get(member.nodeId)?.incarnation ?? 1),',
      },
    ],
  },
  {
    name: 'incarnation not durable',
    what: 'A directory gets another incarnation at each start.',
    rule: 'an incarnation is made once and is durable before anything is promised',
    whoMadeIt: 'who keeps a random id in memory',
    edits: [
      {
        file: 'libs/raft/src/storage/file-storage.ts',
        find: 'return { ...state, incarnation: this.owner.incarnation };',
        replace: 'return { ...state, incarnation: this.owner.incarnation + Math.floor(Math.random() * 1000) };',
      },
    ],
  },
  {
    name: 'every process of a directory is heard',
    what: 'A process on a copy of a directory takes the place of the first one, and that one takes it back.',
    rule: 'this library: of each directory one process is heard, the one that is connected',
    whoMadeIt: 'who takes the newest connection for the right one; this library before',
    edits: [
      {
        file: 'libs/raft/src/transport/process-claims.ts',
        find: '    if (!holder?.claimant.isOpen()) return this.accept(key, claimant);',
        replace: '    if (!holder?.claimant.isOpen() || now >= 0) return this.accept(key, claimant);',
      },
    ],
  },
  {
    name: 'newest process wins',
    what: 'When two processes of one directory live, the one that has promised less is heard.',
    rule: 'this library: the process that is connected stays',
    whoMadeIt: 'who counts starts, and takes the highest number for the latest',
    edits: [
      {
        file: 'libs/raft/src/transport/process-claims.ts',
        find: "    if (holder.claimant.aliveAt() >= challenge.since) return 'second';",
        replace: '    if (holder.claimant.aliveAt() >= challenge.since) return this.accept(key, claimant);',
      },
    ],
  },
  {
    name: 'answers for the other process are heard',
    what: 'A process that nobody hears counts the votes and acknowledgements that are meant for the first one.',
    rule: 'this library: a process does not hear whoever does not hear it',
    whoMadeIt: 'who looks only at what comes in, and not at whom it is for',
    edits: [
      {
        file: 'libs/raft/src/transport/process-claims.ts',
        find: 'return !this.refusedBy.has(nodeId);',
        replace: 'return !this.refusedBy.has(-nodeId);',
      },
    ],
  },
];
