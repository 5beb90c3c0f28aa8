import { BALLOT_BUGS } from './ballot-bugs.js';
import { CLOCK_BUGS } from './clock-bugs.js';
import { COORDINATOR_BUGS } from './coordinator-bugs.js';
import { FOREIGN_CODE_BUGS } from './foreign-code-bugs.js';
import type { InjectedBug } from './injected-bug.js';
import { LINK_BUGS } from './link-bugs.js';
import { LOCK_BUGS } from './lock-bugs.js';
import { PARTICIPANT_BUGS } from './participant-bugs.js';
import { RULING_BUGS } from './ruling-bugs.js';

/** All mistakes that must be found. */
export const INJECTED_BUGS: readonly InjectedBug[] = [
  ...COORDINATOR_BUGS,
  ...PARTICIPANT_BUGS,
  ...FOREIGN_CODE_BUGS,
  ...RULING_BUGS,
  ...BALLOT_BUGS,
  ...CLOCK_BUGS,
  ...LINK_BUGS,
  ...LOCK_BUGS,
];
