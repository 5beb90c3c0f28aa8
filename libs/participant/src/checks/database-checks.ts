import { failure, ok, warning, type Check, type Finding } from './check.js';
import { MAXIMUM_CLOCK_DIFFERENCE_MS, describeDifference } from './clock-difference.js';
import type { DatabaseCheckCode, DatabaseCheckContext, DatabaseFinding } from './database-check.js';
import type { DatabaseFacts, DatabaseOwner } from './database-facts.js';
import { leastPrivilege, privileges } from './privilege-checks.js';

type DatabaseCheck = Check<DatabaseCheckContext, DatabaseCheckCode>;

/** For `pg_current_xact_id_if_assigned` and `client_connection_check_interval`. */
const OLDEST_SERVER = 14;
/** The newest release that the tests run with. */
const NEWEST_SERVER = 18;
/** Work waits beyond this share of `max_prepared_transactions`; see `PreparedPlaces`. */
const USED_SHARE = 3 / 4;
const USUAL_MAXIMUM_PREPARED = 128;

/** In the order in which somebody would correct them. */
export const DATABASE_CHECKS: readonly DatabaseCheck[] = [
  { name: 'server-version', run: serverVersion },
  { name: 'primary', run: primary },
  { name: 'prepared-transactions', run: preparedTransactions },
  { name: 'owner', run: ownerOfDatabase },
  { name: 'migrations', run: migrations },
  { name: 'privileges', run: privileges },
  { name: 'least-privilege', run: leastPrivilege },
  { name: 'same-role', run: sameRole },
  { name: 'same-database', run: sameDatabase },
  { name: 'connections', run: connections },
  { name: 'held-sessions', run: heldSessions },
  { name: 'pooler', run: pooler },
  { name: 'wire', run: wire },
  { name: 'session-timeouts', run: sessionTimeouts },
  { name: 'clock', run: clock },
];

function serverVersion({ facts }: DatabaseCheckContext): DatabaseFinding {
  const major = Math.floor(facts.serverVersion / 10_000);
  const version = `${major}.${facts.serverVersion % 10_000}`;
  const sentence = `${facts.where} is PostgreSQL ${version}`;
  if (major < OLDEST_SERVER) {
    return failure(`${sentence}, and ${OLDEST_SERVER} or newer is needed`, 'upgrade the server', 'DATABASE_TOO_OLD');
  }
  if (major <= NEWEST_SERVER) return ok(sentence);
  return warning(
    `${sentence}, and this release was tested up to ${NEWEST_SERVER}`,
    'look for a newer release of Concordat, or test your service with this server',
  );
}

function primary({ facts }: DatabaseCheckContext): DatabaseFinding {
  if (!facts.isStandby) return ok(`${facts.where} is a primary`);
  return failure(
    `${facts.where} is a standby, which prepares nothing`,
    'connect to the primary (with target_session_attrs=read-write, or by an address that follows it)',
  );
}

function preparedTransactions({ facts, needs }: DatabaseCheckContext): DatabaseFinding {
  const { maximumPrepared: maximum, prepared, where } = facts;
  if (maximum === 0) {
    return failure(
      `max_prepared_transactions is 0 at ${where}, so no branch can be prepared`,
      `set it in postgresql.conf to at least the number of connections (for example ${USUAL_MAXIMUM_PREPARED}) and restart the server`,
      'PREPARED_TRANSACTIONS_DISABLED',
    );
  }
  const restart = (least: number): string =>
    `set it to at least ${least} (${USUAL_MAXIMUM_PREPARED} is usual) and restart the server`;
  const sentence = `max_prepared_transactions is ${maximum}`;
  if (needs.preparedBranches !== undefined && needs.preparedBranches > maximum) {
    return warning(
      `${sentence}, and limits.preparedBranches of the participant is ${needs.preparedBranches}`,
      `${restart(needs.preparedBranches)}, or lower limits.preparedBranches`,
    );
  }
  const least = Math.ceil(needs.workConnections / USED_SHARE);
  if (maximum < least) {
    const usable = Math.max(1, Math.floor(maximum * USED_SHARE));
    return warning(
      `${sentence}, so at most ${usable} of ${needs.workConnections} branches run at once`,
      restart(least),
    );
  }
  if (prepared >= maximum * USED_SHARE) {
    return warning(
      `${sentence}, and ${prepared} transactions are prepared now, so new work waits`,
      'end what is in doubt (GET /v1/in-doubt of a coordinator, and pg_prepared_xacts here), or raise the setting',
    );
  }
  return ok(`${sentence}, and ${prepared} are in use`);
}

/** Whose database it is, in a failure; undefined when it may be used. */
export function ownershipFailure(
  {
    where,
    schema,
    owner,
    otherSchemas,
  }: { where: string; schema: string } & Pick<DatabaseFacts['ledger'], 'owner' | 'otherSchemas'>,
  wanted: DatabaseOwner,
): Finding<'DATABASE_OF_ANOTHER_PARTICIPANT'> | undefined {
  const [otherSchema] = otherSchemas;
  if (otherSchema !== undefined) {
    return ownedByAnother(
      `the database at ${where} holds the tables of another participant in its schema "${otherSchema}"`,
      `drop the tables named concordat_* in "${otherSchema}"`,
    );
  }
  if (!owner || (owner.cluster === wanted.cluster && owner.participant === wanted.participant)) return undefined;
  return ownedByAnother(
    `the database at ${where} belongs to the participant "${owner.participant}" of the cluster "${owner.cluster}", ` +
      `and this is "${wanted.participant}" of the cluster "${wanted.cluster}"`,
    `DELETE FROM "${schema}".concordat_owner`,
  );
}

function ownedByAnother(whose: string, release: string): Finding<'DATABASE_OF_ANOTHER_PARTICIPANT'> {
  return failure(
    whose,
    'give every participant a database of its own (many of them may lie on one server). If the database changes hands, ' +
      `wait until pg_prepared_xacts shows nothing of it any more, then ${release} and start again`,
    'DATABASE_OF_ANOTHER_PARTICIPANT',
  );
}

function ownerOfDatabase({ facts, participant, cluster }: DatabaseCheckContext): DatabaseFinding {
  const { owner } = facts.ledger;
  const wanted = {
    cluster: cluster ?? owner?.cluster ?? '',
    participant: participant ?? owner?.participant ?? '',
  };
  const found = ownershipFailure({ where: facts.where, schema: facts.schema, ...facts.ledger }, wanted);
  if (found) return found;
  return ok(
    owner
      ? `it belongs to the participant "${owner.participant}" of the cluster "${owner.cluster}"`
      : 'it belongs to no participant yet; the first one that starts on it owns it',
  );
}

/** The tables are of a newer program; undefined when they are not. */
export function newerLedger(found: number, known: number): Finding<'LEDGER_IS_NEWER'> | undefined {
  if (found <= known) return undefined;
  return failure(
    `the ledger has schema version ${found}, this program knows ${known}`,
    'run the newer program',
    'LEDGER_IS_NEWER',
  );
}

function migrations({ facts, ledgerVersion, migrates }: DatabaseCheckContext): DatabaseFinding {
  const { schema, ledger } = facts;
  const { version, exists, missing } = ledger;
  const start =
    `run npx concordat migrate with a role that may create tables in "${schema}", or start the participant once with one: ` +
    'the start migrates them';
  if (version === undefined) {
    const sentence = exists
      ? `the version of Concordat's tables in the schema "${schema}" cannot be read`
      : `Concordat's tables are missing in the schema "${schema}"`;
    return migrates ? ok(`${sentence}; they are created now`) : warning(sentence, start);
  }
  const newer = newerLedger(version, ledgerVersion);
  if (newer) return newer;
  if (version < ledgerVersion) {
    const sentence = `Concordat's tables have schema version ${version}, this release has ${ledgerVersion}`;
    return migrates ? ok(`${sentence}; they are migrated now`) : warning(sentence, start);
  }
  if (missing.length === 0) return ok(`Concordat's tables have schema version ${version}`);
  return failure(
    `Concordat's tables claim schema version ${version}, and of it ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`,
    'restore the database from a backup; or, if it holds nothing prepared and no transaction is open, drop all that is ' +
      `named concordat_* in "${schema}" and start the participant again`,
    'LEDGER_INCOMPLETE',
  );
}

function sameRole({ facts }: DatabaseCheckContext): DatabaseFinding {
  const { role, isSuperuser, preparingRoles, otherSessions, database } = facts;
  const same = `connect all processes of the participant as the role "${role}", or all as another one`;
  if (preparingRoles.length > 0 && !isSuperuser) {
    return failure(
      `"${preparingRoles.join('", "')}" prepared branches in this database, and only that role or a superuser may end them: ` +
        `"${role}" may not`,
      `${same}; let a process with that role end them first`,
    );
  }
  const roles = unique(otherSessions.filter((one) => one.database === database).map((one) => one.role));
  if (roles.length > 0 && !isSuperuser) {
    return warning(
      `other processes of the participant are connected as "${roles.join('", "')}", this one as "${role}": neither ends ` +
        'what the other has prepared',
      same,
    );
  }
  return ok(`all processes of the participant that are connected have the role "${role}"`);
}

function sameDatabase({ facts }: DatabaseCheckContext): DatabaseFinding {
  const databases = unique(
    facts.otherSessions.map(({ database }) => database).filter((database) => database !== facts.database),
  );
  if (databases.length === 0) return ok(`all processes on this server use the database "${facts.database}"`);
  return warning(
    `processes with the name of this participant use the database "${databases.join('", "')}" of this server, this one ` +
      `"${facts.database}": decisions would not find what the others have prepared`,
    'give all processes of a participant the same database URL; if the others are of another cluster, give them another ' +
      'postgres.applicationName',
  );
}

function connections({ facts, needs }: DatabaseCheckContext): DatabaseFinding {
  const limits: readonly (readonly [limit: number, what: string, fix: string])[] = [
    [facts.maximumConnections, 'max_connections', 'raise max_connections'],
    [
      facts.roleConnectionLimit ?? Infinity,
      `the limit of the role "${facts.role}"`,
      `ALTER ROLE "${facts.role}" CONNECTION LIMIT`,
    ],
    [
      facts.databaseConnectionLimit ?? Infinity,
      `the limit of the database "${facts.database}"`,
      `ALTER DATABASE "${facts.database}" CONNECTION LIMIT`,
    ],
  ];
  const lower = 'or lower limits.workConcurrency and postgres.decisionConnections';
  for (const [limit, what, fix] of limits) {
    if (needs.connections <= limit) continue;
    return failure(
      `a process of the participant opens up to ${needs.connections} connections, and ${what} leaves ${limit}`,
      `${fix}, ${lower}`,
    );
  }
  const free = facts.maximumConnections - facts.openConnections;
  if (needs.connections > free) {
    return warning(
      `${facts.openConnections} of ${facts.maximumConnections} connections are open, and a further process of the participant ` +
        `opens up to ${needs.connections}`,
      `raise max_connections, ${lower}`,
    );
  }
  return ok(
    `${facts.openConnections} of ${facts.maximumConnections} connections are open; a process opens up to ${needs.connections}`,
  );
}

function heldSessions({ needs }: DatabaseCheckContext): DatabaseFinding {
  const { workConnections, heldBranches = Math.max(1, Math.floor(workConnections / 2)) } = needs;
  const sentence = `a process holds up to ${heldBranches} sessions between calls, of ${workConnections} connections for work`;
  if (heldBranches < workConnections || workConnections === 1) return ok(sentence);
  return warning(
    `${sentence}, so held ones can stop all other work`,
    `set limits.heldBranches below ${workConnections}, or raise limits.workConcurrency`,
  );
}

function pooler({ facts }: DatabaseCheckContext): DatabaseFinding {
  const { pooling, where, synchronousCommit } = facts;
  const direct = 'connect to the server itself, or set pool_mode to session';
  switch (pooling) {
    case 'direct':
      return ok(`no pooler shows between this process and ${where}`);
    case 'session':
      return ok(`a pooler in session mode stands before ${where}`);
    case 'unknown':
      return warning(`a pooler stands before ${where}, and its mode could not be found out in time`, direct);
    case 'transaction':
      if (synchronousCommit === 'off' || synchronousCommit === 'local') {
        return failure(
          `a pooler in transaction mode stands before ${where}, and synchronous_commit is ${synchronousCommit} there, so a ` +
            'reported commit could be lost in a crash',
          `${direct}, or set synchronous_commit to on for the role`,
        );
      }
      return warning(
        `a pooler in transaction mode (pgbouncer) stands before ${where}: settings do not stay with a session, and a wait ` +
          'for one of its connections counts as a hanging database',
        `${direct}; otherwise keep synchronous_commit on, and its pool as large as all connections of the participant`,
      );
  }
}

function wire({ facts }: DatabaseCheckContext): DatabaseFinding {
  const { wire: safety, where } = facts;
  const verify = 'set sslmode=verify-full, and sslrootcert to the file with its authority, in the database URL';
  switch (safety) {
    case 'plain':
      return warning(
        `the connection to ${where} is not encrypted: anybody in between reads and changes what it carries`,
        `${verify}; the server needs ssl = on`,
      );
    case 'unverified':
      return warning(
        `the connection to ${where} is encrypted, and nobody checks that the server is the right one`,
        verify,
      );
    case 'local':
      return ok(`the connection to ${where} does not leave this machine`);
    case 'unknown':
      return ok(`the connection to ${where} is encrypted, as the options of its pool say`);
    case 'verified':
      return ok(`the connection to ${where} is encrypted, and the server has shown a certificate`);
  }
}

function sessionTimeouts({ facts }: DatabaseCheckContext): DatabaseFinding {
  const { transactionTimeoutMs, idleSessionTimeoutMs, idleInTransactionTimeoutMs, role } = facts;
  const reset = (setting: string): string => `ALTER ROLE "${role}" SET ${setting} = 0`;
  if (transactionTimeoutMs > 0) {
    return warning(
      `transaction_timeout is ${transactionTimeoutMs} ms: the server ends a branch that is open for longer, whatever its ` +
        'deadline',
      reset('transaction_timeout'),
    );
  }
  if (idleSessionTimeoutMs > 0) {
    return warning(
      `idle_session_timeout is ${idleSessionTimeoutMs} ms: the server ends idle connections, and each is opened anew`,
      reset('idle_session_timeout'),
    );
  }
  return ok(
    idleInTransactionTimeoutMs === 0
      ? 'the server ends no session by itself'
      : `idle_in_transaction_session_timeout is ${idleInTransactionTimeoutMs} ms; each branch replaces it by its own deadline`,
  );
}

function clock({ facts }: DatabaseCheckContext): DatabaseFinding {
  const { clockDifferenceMs } = facts;
  if (Math.abs(clockDifferenceMs) <= MAXIMUM_CLOCK_DIFFERENCE_MS)
    return ok("the server's clock agrees with this machine's");
  return warning(
    `the clock of the server is ${describeDifference(clockDifferenceMs)} this machine's`,
    'let NTP set both; deadlines and the age of prepared branches are wrong by as much',
  );
}

function unique(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}
