import type { InjectedBug } from './injected-bug.js';

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
];
