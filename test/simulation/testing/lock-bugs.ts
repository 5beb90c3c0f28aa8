import type { InjectedBug } from './injected-bug.js';

const TABLE = 'libs/commit-protocol/src/log/locks/lock-table.ts';
const QUEUES = 'apps/coordinator/src/locks/lock-queues.ts';
const SESSION = 'apps/coordinator/src/locks/lock-session.ts';
const EXPIRY = 'apps/coordinator/src/locks/lease-expiry.ts';
const seeds = { family: 'locks' } as const;

/** Mistakes with locks: who has one, for how long, and under which token. */
export const LOCK_BUGS: readonly InjectedBug[] = [
  {
    name: 'a lease ends while records are applied',
    what: 'A lock whose `expiresAt` log time has passed is granted to the next who asks, without a record that ends the lease.',
    rule: 'section Locks: only records end a lease',
    by: {
      edits: [
        {
          file: TABLE,
          find: "    const held = this.leases.get(name);\n    if (held && held.owner !== owner) return refused('LOCK_HELD', held);",
          replace:
            "    if ((this.leases.get(name)?.expiresAt ?? Infinity) <= now) this.leases.delete(name);\n    const held = this.leases.get(name);\n    if (held && held.owner !== owner) return refused('LOCK_HELD', held);",
        },
      ],
    },
    seeds,
  },
  {
    name: 'a lease ends by the clock of the leader',
    what: 'The leader ends a lease when the clock of its machine has reached `expiresAt`.',
    rule: 'section Locks: no clock that is set shortens a lease',
    by: {
      edits: [
        {
          file: EXPIRY,
          find: 'return Math.max(ages.remainingMs(lease), lease.expiresAt - clock.now());',
          replace:
            "if (ages === undefined) return 0;\n    return lease.expiresAt - (clock as unknown as { clock: { now(): number } })['clock'].now();",
        },
        { file: TABLE, find: ' || now < held.expiresAt) continue;', replace: ') continue;' },
      ],
    },
    seeds,
  },
  {
    name: 'an expiry that overtakes a renewal',
    what: 'A record that ends a lease ends it also when it was renewed in between.',
    rule: 'section Locks: `lock-expire` names the last renewal that the leader knows of',
    by: {
      edits: [
        {
          file: TABLE,
          find: '!held || held.renewedIndex !== renewedIndex || now < held.expiresAt',
          replace: '!held || renewedIndex < 0',
        },
      ],
    },
    seeds,
  },
  {
    name: 'tokens that a snapshot forgets',
    what: 'Fencing tokens are counted by the state machine, and the count is not in the snapshot.',
    rule: 'section Locks: tokens grow over restarts and snapshots',
    by: {
      edits: [
        {
          file: TABLE,
          find: '    this.checkNewToken(index);\n    this.latestToken = index;\n    const lease = {',
          replace: '    const lease = {',
        },
        { file: TABLE, find: '      fencingToken: index,', replace: '      fencingToken: ++this.latestToken,' },
        {
          file: TABLE,
          find: '    for (const lease of leases) {\n      this.checkNewToken(lease.fencingToken);',
          replace: '    for (const lease of leases) {',
        },
        {
          file: TABLE,
          find: "    invariant(token > this.latestToken, 'a fencing token is higher than all before it');",
          replace: '    if (token < 0) return;',
        },
      ],
    },
    seeds,
  },
  {
    name: 'a renewal of what another has',
    what: 'A renewal is taken from whoever sends it: the former holder, whose lease has ended, extends that of the next.',
    rule: 'section Locks: a renewal needs the owner and the token of the holder',
    by: {
      edits: [
        {
          file: TABLE,
          find: 'return held?.owner === owner && held.fencingToken === fencingToken ? held : undefined;',
          replace: 'return fencingToken > 0 && owner ? held : undefined;',
        },
      ],
    },
    seeds,
  },
  {
    name: 'the last who came is served first',
    what: 'When a lock becomes free, it goes to the client that has waited for the shortest time.',
    rule: 'section Locks: who waits gets the lock in order of arrival',
    by: {
      edits: [
        {
          file: QUEUES,
          find: 'const [first] = this.byName.get(name) ?? [];',
          replace: 'const first = [...(this.byName.get(name) ?? [])].at(-1);',
        },
      ],
    },
    seeds,
  },
  {
    name: 'a waiter that is woken twice',
    what: 'When a lock becomes free, two grants are proposed for the first in the queue.',
    rule: 'section Locks: each request is granted once',
    by: {
      edits: [
        {
          file: SESSION,
          find: '    this.granting.add(name);\n    this.grant(waiter, () => {',
          replace: '    this.granting.add(name);\n    this.grant(waiter);\n    this.grant(waiter, () => {',
        },
      ],
    },
    seeds,
  },
];
