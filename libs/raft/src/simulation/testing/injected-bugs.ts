import { ELECTION_BUGS } from './election-bugs.js';
import type { InjectedBug } from './injected-bug.js';
import { INCARNATION_BUGS } from './incarnation-bugs.js';
import { MEMBERSHIP_BUGS } from './membership-bugs.js';
import { READ_BUGS } from './read-bugs.js';
import { REPLICATION_BUGS } from './replication-bugs.js';
import { STORAGE_BUGS } from './storage-bugs.js';

/** All mistakes that the simulation must find. */
export const INJECTED_BUGS: readonly InjectedBug[] = [
  ...ELECTION_BUGS,
  ...REPLICATION_BUGS,
  ...MEMBERSHIP_BUGS,
  ...READ_BUGS,
  ...STORAGE_BUGS,
  ...INCARNATION_BUGS,
];
