import { errorMessage } from '@concordat/foundation';
import { failure, type Finding } from '../../checks/check.js';
import { ParticipantConfigurationError } from '../../runtime/errors.js';
import { DatabaseConnectionError } from '../errors.js';
import { SQL_STATE, sqlStateOf } from '../statements/sql-state.js';

export type ConnectionFaultCode =
  | 'DATABASE_AUTHENTICATION_FAILED'
  | 'DATABASE_DOES_NOT_EXIST'
  | 'DATABASE_PERMISSION_DENIED'
  | 'DATABASE_IS_POOLED_BY_STATEMENT'
  | 'DATABASE_URL_INVALID'
  | 'DATABASE_TLS_FAILED'
  | 'DATABASE_SECRET_UNUSABLE';

/** What somebody must change before the database can be used; undefined for errors that may pass. */
export function connectionFault(error: unknown, where: string): Finding<ConnectionFaultCode> | undefined {
  const message = errorMessage(error);
  if (error instanceof DatabaseConnectionError) {
    return failure(`the connection to ${where} failed, because ${error.sentence}`, error.fix, error.code);
  }
  if (error instanceof ParticipantConfigurationError) {
    return failure(`the database at ${where} cannot be reached with these settings`, message, 'DATABASE_URL_INVALID');
  }
  if ((error as { readonly code?: unknown } | undefined)?.code === 'ERR_INVALID_URL') {
    return failure(
      'the database URL is not valid',
      'use postgres://user:password@host:port/database, and write / @ : # in a password as %2F %40 %3A %23',
      'DATABASE_URL_INVALID',
    );
  }
  if (/statement pooling/i.test(message)) {
    return failure(
      `${where} is a pgbouncer in statement mode, which cannot hold a transaction open`,
      'set pool_mode to session or transaction, or connect to the server directly',
      'DATABASE_IS_POOLED_BY_STATEMENT',
    );
  }
  switch (sqlStateOf(error)) {
    case SQL_STATE.invalidAuthorization:
      if (/client certificate/i.test(message)) {
        return failure(
          `the database at ${where} asks for a client certificate: ${message}`,
          'give one with its key (sslcert and sslkey in the URL, or the option tls) whose common name is that of the role',
          'DATABASE_TLS_FAILED',
        );
      }
      if (/no encryption|SSL off/.test(message)) {
        return failure(
          `the database at ${where} takes this role, from here, only over TLS, or not at all: ${message}`,
          'set sslmode=verify-full and sslrootcert in the database URL, or ssl of the pool or DataSource; if pg_hba.conf has no hostssl line for it, add one',
          'DATABASE_TLS_FAILED',
        );
      }
      return refused(where, message);
    case SQL_STATE.invalidPassword:
      return refused(where, message);
    case SQL_STATE.invalidCatalogName:
      return failure(
        `there is no such database at ${where}`,
        `create it, or correct the database URL, the pool or the DataSource (${message})`,
        'DATABASE_DOES_NOT_EXIST',
      );
    case SQL_STATE.insufficientPrivilege:
      return failure(
        `the user of ${where} may not create the ledger`,
        `GRANT CREATE on the schema to it (${message})`,
        'DATABASE_PERMISSION_DENIED',
      );
    default:
      return undefined;
  }
}

function refused(where: string, message: string): Finding<ConnectionFaultCode> {
  return failure(
    `the database at ${where} refuses user and password`,
    `correct them in the database URL, the pool or the DataSource, or what gives the password (${message})`,
    'DATABASE_AUTHENTICATION_FAILED',
  );
}
