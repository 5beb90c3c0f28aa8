import { BOUND_NAMES } from './options.js';
import type { PackedState } from '../world.js';

/** What is left of a bound that is none. */
export const UNBOUNDED = 1_000;

/** A branch of a state: numbers of states of its process and its database, and what it has said so far. */
export interface BranchSlot {
  process: number;
  database: number;
  /** `SAID_…` bits of every answer that has left */
  said: number;
}

export const SAID_YES = 1;
export const SAID_NO = 2;
export const SAID_READ_ONLY = 4;
export const SAID_ABORTED = 8;

/** A state of the two-phase world, unpacked. */
export interface Draft {
  /** number of the state of the log that every node would agree on */
  log: number;
  /** number of the state of the leader */
  leader: number;
  /** number of the state of a leader that was deposed and does not know it; -1 when there is none */
  deposed: number;
  term: number;
  begun: boolean;
  /** the deadline has passed */
  late: boolean;
  /** a handler has come to `no` */
  refused: boolean;
  /** a client was told committed (1) or aborted (2) */
  told: number;
  /** a branch has opened a ballot */
  impatient: boolean;
  /** in which term the last ballot of the coordinators was logged; 0 for none */
  ballotTerm: number;
  /** what a branch has said that the branches decided: committed (1) or aborted (2) */
  branchesDecided: number;
  /** one more than the number of a broken rule that was seen on the way; 0 for none */
  breach: number;
  /** what is left of each bound, in the order of `BOUND_NAMES` */
  readonly left: number[];
  readonly branches: BranchSlot[];
  /** numbers of the messages on their way, ascending; one that is there already is not added again */
  messages: number[];
}

const FIXED_WORDS = 12;
const WORDS_OF_A_BRANCH = 3;
const LEFT_WORDS = BOUND_NAMES.length;

export function unpack(state: PackedState, branchCount: number): Draft {
  const word = (index: number): number => state[index] ?? 0;
  const left: number[] = [];
  for (let index = 0; index < LEFT_WORDS; index++) left.push(word(FIXED_WORDS + index));
  const branches: BranchSlot[] = [];
  let offset = FIXED_WORDS + LEFT_WORDS;
  for (let index = 0; index < branchCount; index++) {
    branches.push({ process: word(offset), database: word(offset + 1), said: word(offset + 2) });
    offset += WORDS_OF_A_BRANCH;
  }
  const messages: number[] = [];
  for (; offset < state.length; offset++) messages.push(word(offset));
  return {
    log: word(0),
    leader: word(1),
    deposed: word(2),
    term: word(3),
    begun: word(4) === 1,
    late: word(5) === 1,
    refused: word(6) === 1,
    told: word(7),
    breach: word(8),
    impatient: word(9) === 1,
    branchesDecided: word(10),
    ballotTerm: word(11),
    left,
    branches,
    messages,
  };
}

/** Words of the packed state. */
function lengthOf({ left, branches, messages }: Draft): number {
  return FIXED_WORDS + left.length + branches.length * WORDS_OF_A_BRANCH + messages.length;
}

export function pack(draft: Draft): PackedState {
  const state = new Int32Array(lengthOf(draft));
  packInto(draft, state);
  return state;
}

/** Packs a state into the beginning of an array that is large enough; returns the number of words. */
export function packInto(draft: Draft, state: PackedState): number {
  const { left, branches, messages } = draft;
  state[0] = draft.log;
  state[1] = draft.leader;
  state[2] = draft.deposed;
  state[3] = draft.term;
  state[4] = draft.begun ? 1 : 0;
  state[5] = draft.late ? 1 : 0;
  state[6] = draft.refused ? 1 : 0;
  state[7] = draft.told;
  state[8] = draft.breach;
  state[9] = draft.impatient ? 1 : 0;
  state[10] = draft.branchesDecided;
  state[11] = draft.ballotTerm;
  let offset = FIXED_WORDS;
  for (const count of left) state[offset++] = count;
  for (const { process, database, said } of branches) {
    state[offset++] = process;
    state[offset++] = database;
    state[offset++] = said;
  }
  for (const message of messages) state[offset++] = message;
  return offset;
}

/** Puts a message on its way unless the same one is. */
export function addMessage(draft: Draft, message: number): void {
  const { messages } = draft;
  let index = messages.length;
  while (index > 0 && (messages[index - 1] ?? 0) > message) index--;
  if (messages[index - 1] === message) return;
  messages.splice(index, 0, message);
}

export function removeMessage(draft: Draft, message: number): void {
  const index = draft.messages.indexOf(message);
  if (index >= 0) draft.messages.splice(index, 1);
}
