import { codedError } from '@concordat/foundation';

/** An error that the user can act on: its message is one sentence and is printed without a stack. */
export class LabError extends codedError('LAB') {}
