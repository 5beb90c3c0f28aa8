import type { ClientBase } from 'pg';
import type { Clock } from '@concordat/foundation';
import { clockDifferenceMs } from '../../checks/clock-difference.js';
import type { DatabaseFacts, LedgerFacts, Privilege } from '../../checks/database-facts.js';
import {
  InspectionStatements,
  LEDGER_ROUTINES,
  LEDGER_TABLES,
  type LedgerObject,
} from '../statements/inspection-statements.js';
import { isOnThisMachine, wireSafety } from '../connections/wire-safety.js';
import { findPooling } from './pooling.js';

export interface InspectionSubject {
  /** as in messages: see `describeUrl` */
  readonly where: string;
  readonly schema: string;
  /** undefined: the one that the database belongs to */
  readonly cluster?: string | undefined;
  /** whether a wrong server would be noticed: see `noticesImpostors` */
  readonly noticesImpostors?: boolean | undefined;
  /** prefix of the `application_name` of the participant's sessions; undefined: the name of its owner */
  readonly applicationName?: string | undefined;
}

export interface InspectionPorts {
  readonly clock: Clock;
  /** opens a second connection, and closes it when the reading has ended */
  readonly openSecond: () => Promise<ClientBase>;
}

/** The names under which a participant's connections stand in `pg_stat_activity`. */
const SESSION_KINDS = ['work', 'decision', 'look'];

/**
 * Reads all that the checks judge, in some ten statements. Needs no privilege but to connect; what the role may not see
 * is undefined or empty.
 */
export async function readDatabaseFacts(
  client: ClientBase,
  { where, schema, cluster, applicationName, noticesImpostors }: InspectionSubject,
  { clock, openSecond }: InspectionPorts,
): Promise<DatabaseFacts> {
  const statements = new InspectionStatements(schema);
  const pooling = await findPooling(client, { clock, backend: (one) => statements.backend(one), openSecond });
  const askedAt = clock.now();
  const time = await statements.time(client);
  const answeredAt = clock.now();
  await statements.begin(client);
  const { ledger, powers } = await readLedger(client, statements);
  await statements.end(client);
  const server = await statements.server(client, cluster ?? ledger.owner?.cluster);
  const name = applicationName ?? ledger.owner?.participant;
  const names = name === undefined ? [] : SESSION_KINDS.map((kind) => `${name}-${kind}`);
  const system = await statements.systemIdentifier(client);
  return {
    where,
    schema,
    ledger,
    pooling,
    wire: wireSafety(client, noticesImpostors),
    isOnThisMachine: isOnThisMachine(client),
    serverVersion: server.version,
    isStandby: server.is_standby,
    database: server.database,
    identity: system === undefined ? undefined : `${system}/${server.database_id}`,
    role: server.role,
    isSuperuser: server.is_superuser,
    powers: server.is_superuser ? ['is a superuser'] : [...server.powers, ...powers],
    maximumPrepared: server.maximum_prepared,
    prepared: server.prepared,
    preparingRoles: server.preparing_roles,
    maximumConnections: server.maximum_connections,
    openConnections: server.open_connections,
    roleConnectionLimit: limitOf(server.role_limit),
    databaseConnectionLimit: limitOf(server.database_limit),
    idleInTransactionTimeoutMs: server.idle_in_transaction_timeout_ms,
    idleSessionTimeoutMs: server.idle_session_timeout_ms,
    transactionTimeoutMs: server.transaction_timeout_ms,
    synchronousCommit: server.synchronous_commit,
    clockDifferenceMs: clockDifferenceMs({ earliest: time, latest: time, askedAt, answeredAt }),
    otherSessions: names.length === 0 ? [] : await statements.otherSessions(client, names),
  };
}

async function readLedger(
  client: ClientBase,
  statements: InspectionStatements,
): Promise<{ readonly ledger: LedgerFacts; readonly powers: readonly string[] }> {
  const schema = await statements.schemaPrivileges(client);
  const objects = await statements.ledgerObjects(client);
  const mayRead = (table: string): boolean =>
    schema?.may_use === true && objects.some(({ name, granted }) => name === table && granted.includes('SELECT'));
  const wanted = [...Object.keys(LEDGER_TABLES), ...LEDGER_ROUTINES];
  const owner = mayRead('concordat_owner') ? await statements.owner(client) : undefined;
  const tables = objects.filter(({ name }) => name in LEDGER_TABLES);
  const powers = [
    schema?.is_owner === true && `owns the schema of Concordat's tables`,
    schema?.is_owner !== true && schema?.may_create === true && `may create tables beside Concordat's`,
    tables.some(({ may_alter }) => may_alter) && `owns Concordat's tables`,
  ].filter((power) => power !== false);
  const ledger = {
    schemaExists: schema !== undefined,
    mayUseSchema: schema?.may_use ?? false,
    mayCreateInSchema: schema?.may_create ?? false,
    exists: tables.length > 0,
    mayAlter: objects.every(({ may_alter }) => may_alter),
    version: mayRead('concordat_migration') ? await statements.ledgerVersion(client) : undefined,
    missing: wanted.filter((name) => !objects.some((object) => object.name === name)),
    lacking: objects.flatMap((object) => lackingPrivileges(object, owner !== undefined)),
    owner,
    otherSchemas: await statements.otherOwnedSchemas(client),
  };
  return { ledger, powers };
}

/** A database that has its owner needs nobody who may claim it. */
function lackingPrivileges({ name, granted }: LedgerObject, isOwned: boolean): Privilege[] {
  const isRoutine = !(name in LEDGER_TABLES);
  const needed = LEDGER_TABLES[name] ?? ['EXECUTE'];
  return needed
    .filter((privilege) => !(isOwned && name === 'concordat_owner' && privilege === 'INSERT'))
    .filter((privilege) => !granted.includes(privilege))
    .map((privilege) => ({ privilege, name, isRoutine }));
}

/** PostgreSQL has -1 for none. */
function limitOf(limit: number): number | undefined {
  return limit < 0 ? undefined : limit;
}
