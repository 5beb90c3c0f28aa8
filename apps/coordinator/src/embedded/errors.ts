import { codedError } from '@concordat/foundation';

/** An embedded coordinator was asked for something while it does not run. */
export class CoordinatorDownError extends codedError('COORDINATOR_DOWN') {}

/** The variables that an embedded coordinator was given are wrong; the message names each. */
export class EmbeddedConfigurationError extends codedError('INVALID_CONFIGURATION') {}

/** An embedded coordinator does not lead in time. */
export class EmbeddedStartError extends codedError('COORDINATOR_NOT_READY') {}
