import { fitText } from '@concordat/foundation';
import { LIMITS } from './limits.js';
import type { BranchError } from './types.js';

/** Visible ASCII without spaces: clients compare it, and metrics use it as a label. */
const CODE = new RegExp(`^[\\x21-\\x7e]{1,${LIMITS.errorCodeLength}}$`);

/** Replaces a code that cannot be passed on; the message then contains it. */
export const INVALID_ERROR_CODE = 'INVALID_ERROR_CODE';

/**
 * Why a branch votes no, in a form that fits every message, row and record. Everything from handlers or from a table
 * goes through here; nothing else makes a `BranchError`.
 */
export function branchError(code: unknown, message: unknown): BranchError {
  const sentence = typeof message === 'string' ? message : '';
  if (typeof code === 'string' && CODE.test(code)) {
    return { code, message: fitText(sentence, LIMITS.errorMessageLength) };
  }
  const shown = typeof code === 'string' ? JSON.stringify(fitText(code, LIMITS.errorCodeLength)) : `a ${typeof code}`;
  const explained = `refused with a code that is not 1 to ${LIMITS.errorCodeLength} visible ASCII characters (${shown}): ${sentence}`;
  return { code: INVALID_ERROR_CODE, message: fitText(explained, LIMITS.errorMessageLength) };
}
