import { isUuid } from '@concordat/foundation';
import { branchError, type BranchId } from '@concordat/commit-protocol';

/** The callee's proof: the branches that it and the services below it have enlisted, or `none`. */
export const BRANCH_HEADER = 'concordat-branch';
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
  | { readonly type: 'joined'; readonly branches: readonly BranchId[] }
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
  const branches = valueOf(BRANCH_HEADER);
  if (branches === undefined) return undefined;
  if (branches === NO_BRANCH) return { type: 'joined', branches: [] };
  const ids = branches.split(',', MAXIMUM_BRANCHES + 1).map((id) => id.trim());
  return ids.length <= MAXIMUM_BRANCHES && ids.every(isUuid) ? { type: 'joined', branches: ids } : undefined;
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
