import type { InjectedBug } from './injected-bug.js';

const COORDINATOR_END = 'libs/messaging/src/direct/coordinator-end.ts';
const RUNTIME = 'libs/participant/src/runtime/participant-runtime.ts';
const ANSWERS_FOR_OTHERS = {
  file: RUNTIME,
  find: 'if (message.heldBy !== undefined && message.heldBy !== this.instance) return undefined;',
  replace: '',
};
const ONLY_ITS_HOLDER = {
  file: COORDINATOR_END,
  find: "if (message.type === 'prepare' && message.heldBy !== undefined) return undefined;",
  replace: '',
};
const HELD = 'protocols.md, held branches';

const SECTION = 'protocols.md, the roads of a message';

/** Mistakes with direct streams. */
export const LINK_BUGS: readonly InjectedBug[] = [
  {
    name: 'stream of a dead process',
    what: 'A transaction stays with a process of its participant whose stream has ended, although another one is connected.',
    rule: `${SECTION}: otherwise the next process in turn`,
    by: {
      edits: [
        {
          file: 'libs/messaging/src/direct/coordinator-end.ts',
          find: `if (known?.isOpen) return known;`,
          replace: `if (known) return known;`,
        },
      ],
    },
  },
  {
    name: 'a new leader does not listen',
    what: 'A node that led before, and leads again, drops what comes over streams.',
    rule: `${SECTION}: replies go to the coordinator that leads`,
    by: {
      edits: [
        {
          file: 'libs/messaging/src/direct/inbox.ts',
          find: `if (this.state === 'paused') this.state = 'running';`,
          replace: ``,
        },
      ],
    },
  },
  {
    name: 'replies to the wrong coordinator',
    what: 'A participant replies to the first coordinator that it has a stream to, whether that leads or not.',
    rule: `${SECTION}: replies go to the coordinator that leads`,
    by: {
      edits: [
        {
          file: 'libs/messaging/src/direct/participant-end.ts',
          find: 'const leader = this.leader();\n    const stream =',
          replace: 'const leader = this.welcomed()[0];\n    const stream =',
        },
      ],
    },
  },
  {
    name: 'repeated on the dead road',
    what: 'With both roads, a repeated message takes the stream alone, and so does one that finds none.',
    rule: `${SECTION}: every resend takes both roads`,
    by: {
      edits: [
        {
          file: 'libs/messaging/src/both-roads.ts',
          find: `return 'attempt' in message && message.attempt > 0 ? 'both' : 'stream';`,
          replace: `return 'attempt' in message ? 'stream-only' : 'stream';`,
        },
      ],
    },
  },
  {
    name: 'hello of another cluster accepted',
    what: 'A coordinator takes in a process of another cluster that connects directly.',
    rule: `${SECTION}: a stream of another cluster is refused`,
    by: {
      edits: [
        {
          file: 'libs/messaging/src/direct/handshake.ts',
          find: 'if (hello.cluster === cluster) return undefined;',
          replace: `if (hello.cluster !== '') return undefined;`,
        },
      ],
    },
  },
  {
    name: 'prepare to another process than the holder',
    what: 'The prepare of a held branch goes to any process of its participant, and that one votes no.',
    rule: `${HELD}: only the holder prepares it`,
    by: {
      edits: [
        ANSWERS_FOR_OTHERS,
        ONLY_ITS_HOLDER,
        { file: COORDINATOR_END, find: 'if (holder) return holder;', replace: '' },
      ],
    },
  },
  {
    name: 'an aborted branch keeps its session',
    what: 'The holder writes the tombstone of an aborted branch and leaves its session open.',
    rule: `${HELD}: an abort closes the session at once`,
    by: {
      edits: [
        {
          file: 'libs/participant/src/runtime/branch-executor.ts',
          find: 'const closing = this.ports.held.close(branch);',
          replace: 'const closing = undefined as Promise<void> | undefined;',
        },
      ],
    },
  },
  {
    name: 'held beyond its deadline',
    what: 'A holder that hears nothing keeps the session of a branch for an hour.',
    rule: `${HELD}: at the deadline and one second the holder rolls back`,
    by: {
      edits: [
        {
          file: 'libs/participant/src/runtime/held-branch.ts',
          find: 'Math.max(0, timeLeftMs(work, clock)) + HELD_GRACE_MS',
          replace: 'Math.max(0, timeLeftMs(work, clock)) + 3_600_000',
        },
      ],
    },
  },
  {
    name: 'commit without a branch that it names',
    what: 'The branches that a request to commit names are asked to prepare, and neither enlisted nor missed by the log.',
    rule: `${HELD}: the request comes behind their enlistments, and is refused without one`,
    by: {
      edits: [
        {
          file: 'apps/coordinator/src/transactions/leadership/leader-session.ts',
          find: 'enlistments.map((record) => this.record(record))',
          replace: 'enlistments.map(() => undefined)',
        },
        {
          file: 'libs/commit-protocol/src/log/decision-state.ts',
          find: "if (record.branchIds?.some((id) => !findBranch(transaction, id))) return refuse('BRANCH_MISSING', transaction);",
          replace: '',
        },
      ],
    },
  },
];
