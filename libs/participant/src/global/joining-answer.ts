import { isUuid } from '@concordat/foundation';
import { LIMITS, branchError, type BranchId } from '@concordat/commit-protocol';
import type { HeldEnlistment } from './ports.js';

/** The callee's proof: the branches that it and the services below it have enlisted, or `none`. */
export const BRANCH_HEADER = 'concordat-branch';
/** The caller's offer: it names the branches of the answer when it requests the commit, so the callee need not enlist. */
export const OFFER_HEADER = 'concordat-names-branches';
const OFFER = 'yes';

/**
 * The proof to a caller that has made the offer, instead of the other one: the branches, each as
 * `<id>;<participant>;<instance>` when the caller must name it, otherwise by its id alone.
 */
export const UNLISTED_HEADER = 'concordat-unlisted';

/** Of one proof, so that the header stays short; with more of them the callee enlists all. */
export const MAXIMUM_UNLISTED = 16;

/** What a caller sends along that names the branches it is told of. */
export const OFFER_HEADERS: Readonly<Record<string, string>> = { [OFFER_HEADER]: OFFER };

/** @param value of the header */
export function isOffered(value: string | readonly string[] | undefined): boolean {
  return value === OFFER || (Array.isArray(value) && value.length === 1 && value[0] === OFFER);
}

/** The callee's work failed: `<code>;<participant>`, and `;undone` where a savepoint has undone all of it. */
export const DOOMED_HEADER = 'concordat-doomed';

const NO_BRANCH = 'none';
const UNDONE = 'undone';
/** A transaction has at most 64 branches. */
const MAXIMUM_BRANCHES = 64;
const MAXIMUM_DOOMED_LENGTH = 256;
const CODE = /^[A-Za-z0-9_.:-]{1,64}$/;
const PARTICIPANT = /^[a-z0-9-]{1,63}$/;

/** How a callee answers a call that carried a context. */
export type JoiningAnswer =
  | {
      readonly type: 'joined';
      readonly branches: readonly BranchId[];
      /** those that the caller must name; among the branches */
      readonly unlisted?: readonly HeldEnlistment[];
    }
  | {
      readonly type: 'failed';
      readonly code: string;
      readonly participant: string;
      /** nothing of the call is left in the transaction, which can go on */
      readonly isUndone: boolean;
    };

/** The headers of an answer, lower-case names. */
export function answerHeaders(answer: JoiningAnswer): Record<string, string> {
  if (answer.type === 'joined') {
    if (answer.unlisted && answer.unlisted.length > 0)
      return { [UNLISTED_HEADER]: unlistedText(answer.branches, answer.unlisted) };
    return { [BRANCH_HEADER]: answer.branches.length === 0 ? NO_BRANCH : answer.branches.join(',') };
  }
  const { code } = branchError(answer.code, '');
  return { [DOOMED_HEADER]: [code, answer.participant, ...(answer.isUndone ? [UNDONE] : [])].join(';') };
}

/**
 * Reads the headers of an answer; undefined when they prove nothing. A failure counts more than a proof.
 *
 * @param valueOf the value of a header by its lower-case name
 */
export function readAnswer(valueOf: (name: string) => string | undefined): JoiningAnswer | undefined {
  const doomed = valueOf(DOOMED_HEADER);
  if (doomed !== undefined) return readFailure(doomed);
  const unlisted = valueOf(UNLISTED_HEADER);
  if (unlisted !== undefined) return readUnlisted(unlisted);
  const branches = valueOf(BRANCH_HEADER);
  if (branches === undefined) return undefined;
  if (branches === NO_BRANCH) return { type: 'joined', branches: [] };
  const ids = branches.split(',', MAXIMUM_BRANCHES + 1).map((id) => id.trim());
  return ids.length <= MAXIMUM_BRANCHES && ids.every(isUuid) ? { type: 'joined', branches: ids } : undefined;
}

function unlistedText(branches: readonly BranchId[], unlisted: readonly HeldEnlistment[]): string {
  const byId = new Map(unlisted.map((branch) => [branch.branchId, branch]));
  return branches
    .map((id) => {
      const branch = byId.get(id);
      return branch ? [id, branch.participant, encodeURIComponent(branch.instance)].join(';') : id;
    })
    .join(',');
}

function readUnlisted(text: string): JoiningAnswer | undefined {
  const entries = text.split(',', MAXIMUM_BRANCHES + 1).map((entry) => entry.trim().split(';'));
  const unlisted: HeldEnlistment[] = [];
  for (const [branchId = '', participant, instance, ...more] of entries) {
    if (!isUuid(branchId) || more.length > 0) return undefined;
    if (participant === undefined) continue;
    const name = decoded(instance);
    if (!PARTICIPANT.test(participant) || name === undefined) return undefined;
    unlisted.push({ branchId, participant, instance: name });
  }
  if (entries.length > MAXIMUM_BRANCHES || unlisted.length > MAXIMUM_UNLISTED) return undefined;
  return { type: 'joined', branches: entries.map(([branchId]) => branchId!), unlisted };
}

function decoded(instance: string | undefined): string | undefined {
  try {
    const name = decodeURIComponent(instance ?? '');
    return name !== '' && name.length <= LIMITS.instanceNameLength ? name : undefined;
  } catch {
    return undefined;
  }
}

/** A failure that cannot be read is one all the same. */
function readFailure(text: string): JoiningAnswer {
  const [code = '', participant = '', undone] = text.slice(0, MAXIMUM_DOOMED_LENGTH).split(';');
  return {
    type: 'failed',
    code: CODE.test(code) ? code : 'UNREADABLE',
    participant: PARTICIPANT.test(participant) ? participant : 'a called service',
    isUndone: undone === UNDONE,
  };
}
