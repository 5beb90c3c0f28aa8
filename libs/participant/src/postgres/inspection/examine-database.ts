import { Client } from 'pg';
import { errorMessage, withTimeLimit, type Clock } from '@concordat/foundation';
import { failure, runChecks, type CheckReport } from '../../checks/check.js';
import type { ParticipantNeeds } from '../../checks/database-check.js';
import { DATABASE_CHECKS } from '../../checks/database-checks.js';
import type { DatabaseFacts } from '../../checks/database-facts.js';
import { describeConnection } from '../connections/client-options.js';
import { noticesImpostors, postgresConnection } from '../connections/connection-config.js';
import { destroy } from '../connections/destroy.js';
import { connectionsOf, DEFAULT_WORK_CONNECTIONS } from '../connections/pools.js';
import { readMigrations } from '../migrations/migrations.js';
import { isSchemaName } from '../schema-name.js';
import type { PostgresConnectionSettings } from '../settings.js';
import { connectionFault } from './connection-faults.js';
import { readDatabaseFacts } from './read-facts.js';

const CONNECT_LIMIT_MS = 5_000;
const STATEMENT_LIMIT_MS = 10_000;
const END_LIMIT_MS = 1_000;

export interface ExaminationOptions extends PostgresConnectionSettings {
  readonly clock: Clock;
  /** of the tables; default `public` */
  readonly schema?: string | undefined;
  /** the participant that is going to use the database; default: its present owner */
  readonly participant?: string | undefined;
  readonly cluster?: string | undefined;
  /** default: those of a participant with default settings */
  readonly needs?: ParticipantNeeds;
}

export interface Examination {
  /** as in the sentences, without a password */
  readonly where: string;
  readonly reports: readonly CheckReport[];
  /** undefined: the database could not be examined, and the reports say why */
  readonly facts: DatabaseFacts | undefined;
}

/** Runs the checks of a participant's start against a database, and changes nothing there. Never rejects. */
export async function examineDatabase(options: ExaminationOptions): Promise<Examination> {
  const where = describeConnection(options);
  const opened: Client[] = [];
  const open = async (): Promise<Client> => {
    const client = new Client({
      ...postgresConnection(options),
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      query_timeout: STATEMENT_LIMIT_MS,
      application_name: 'concordat-doctor',
    });
    client.on('error', () => undefined); // the running statement reports it, too
    opened.push(client);
    await client.connect();
    return client;
  };
  try {
    const facts = await factsOf(options, where, open);
    const { participant, cluster, needs = DEFAULT_NEEDS } = options;
    const ledgerVersion = (await readMigrations()).length;
    const context = { facts, participant, cluster, needs, ledgerVersion, migrates: false, isDevelopment: false };
    return { where, facts, reports: runChecks(DATABASE_CHECKS, context) };
  } catch (error) {
    const fault =
      connectionFault(error, where) ??
      failure(
        `the database at ${where} cannot be examined: ${errorMessage(error)}`,
        'start the server, and check the database URL, the network and pg_hba.conf',
      );
    return { where, facts: undefined, reports: [{ name: 'connection', ...fault }] };
  } finally {
    const ends = opened.map((client) =>
      withTimeLimit(options.clock, END_LIMIT_MS, 'the end', client.end()).catch(() => destroy(client)),
    );
    await Promise.all(ends);
  }
}

const DEFAULT_NEEDS: ParticipantNeeds = { workConnections: DEFAULT_WORK_CONNECTIONS, connections: connectionsOf({}) };

async function factsOf(
  options: ExaminationOptions,
  where: string,
  open: () => Promise<Client>,
): Promise<DatabaseFacts> {
  const { schema = 'public', cluster, participant, clock } = options;
  if (!isSchemaName(schema)) throw new Error(`"${schema}" cannot be the schema: use lower-case letters, digits and _`);
  const knowsServer = noticesImpostors(options);
  const subject = { where, schema, cluster, applicationName: participant, noticesImpostors: knowsServer };
  return readDatabaseFacts(await open(), subject, { clock, openSecond: open });
}
