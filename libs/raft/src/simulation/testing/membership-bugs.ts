import type { InjectedBug } from './injected-bug.js';

/** Who belongs to the group, and who leads it next. */
export const MEMBERSHIP_BUGS: readonly InjectedBug[] = [
  {
    name: 'learners count in quorums',
    what: 'A majority is one of voters and learners together.',
    rule: 'thesis, 4.2.1',
    whoMadeIt: 'implementations that came to learners late',
    edits: [
      {
        file: 'libs/raft/src/core/membership/quorum.ts',
        find: 'const incoming = reachedByMajority(configuration.voters, valueOf);',
        replace: 'const incoming = reachedByMajority([...configuration.voters, ...configuration.learners], valueOf);',
      },
    ],
  },
  {
    name: 'joint quorum with one majority',
    what: 'While the configuration is joint, a majority of the new voters is enough.',
    rule: 'paper, 6',
    whoMadeIt: 'the mistake that joint consensus is explained by',
    edits: [
      {
        file: 'libs/raft/src/core/membership/quorum.ts',
        find: 'if (configuration.outgoing.length === 0) return incoming;',
        replace: 'if (configuration.voters.length > 0) return incoming;',
      },
    ],
  },
  {
    name: 'overlapping changes in single steps',
    what: 'Voters change in one step, and the next change does not wait for the one before.',
    rule: 'thesis, 4.1',
    whoMadeIt: 'who takes the shorter of the two ways and leaves out its condition',
    edits: [
      {
        file: 'libs/raft/src/core/membership/membership-change.ts',
        find: 'const outgoing = votersChange ? before.voters : [];',
        replace:
          'const moved = [...voters].filter((nodeId) => !before.voters.includes(nodeId)).length + before.voters.filter((nodeId) => !voters.has(nodeId)).length;\n' +
          '  const outgoing = votersChange && moved > 1 ? before.voters : [];',
      },
      {
        file: 'libs/raft/src/core/leader.ts',
        find: 'if (isJoint(this.log.configuration) || this.log.configurationIndex > this.log.commitIndex)',
        replace: 'if (isJoint(this.log.configuration))',
      },
      {
        file: 'libs/raft/src/driver/membership-changer.ts',
        find: '      this.appended = {',
        replace: '      this.appended?.change.resolve(core.configuration);\n      this.appended = {',
      },
    ],
  },
  {
    name: 'configuration in force only when committed',
    what: 'A node uses the latest committed configuration instead of the latest in its log.',
    rule: 'paper, 6: "uses the latest configuration in its log, regardless of whether the entry is committed"',
    whoMadeIt: 'who treats a configuration as any other command',
    edits: [
      {
        file: 'libs/raft/src/core/log/log.ts',
        find: '  get configuration(): Configuration {\n    return this.configurations.latest;',
        replace: '  get configuration(): Configuration {\n    return this.configurations.at(this.commit);',
      },
    ],
  },
  {
    name: 'truncation keeps the configuration',
    what: 'A configuration stays in force although its entry was replaced by the next leader.',
    rule: 'paper, 6',
    whoMadeIt: 'who remembers the configuration beside the log',
    edits: [
      { file: 'libs/raft/src/core/log/log.ts', find: '    this.configurations.truncatedFrom(index);\n', replace: '' },
    ],
  },
  {
    name: 'transfer without catch-up',
    what: 'The target of a transfer is asked to stand for election before it has the whole log.',
    rule: 'thesis, 3.10',
    whoMadeIt: 'who reads "send TimeoutNow" and not the sentence before it',
    edits: [
      {
        file: 'libs/raft/src/core/leader.ts',
        find: 'if (target?.matchIndex === this.log.lastIndex) this.sendTimeoutNow(target);',
        replace: 'if (target) this.sendTimeoutNow(target);',
      },
    ],
  },
];
