import { SystemClock, errorMessage } from '@concordat/foundation';
import { describeUrl, migrateLedger } from '@concordat/participant';
import { withoutPasswords } from '../usage-error.js';
import type { MigrateOptions } from './options.js';

/** Prints what was done; false, and why, when nothing was. */
export async function migrate(options: MigrateOptions): Promise<boolean> {
  const { database, passwordFile, schema, grantTo, owner } = options;
  try {
    const { from, to } = await migrateLedger({
      connectionString: database,
      ...(passwordFile !== undefined && { passwordFile }),
      clock: new SystemClock(),
      schema,
      grantTo,
      owner,
    });
    const where = `the schema "${schema}" of ${describeUrl(database)}`;
    const done = from === to ? `had schema version ${to} already` : `have schema version ${to} now, after ${from}`;
    const granted = grantTo === undefined ? '' : `; "${grantTo}" has the privileges of a participant at work`;
    const owned = owner ? `; the database is that of ${owner.participant} in the cluster ${owner.cluster}` : '';
    process.stdout.write(`Concordat's tables in ${where} ${done}${granted}${owned}.\n`);
    return true;
  } catch (error) {
    const isUnreachable = typeof error === 'object' && error !== null && 'syscall' in error;
    const remedy = isUnreachable ? '; start the server, and check --database and the network' : '';
    process.stderr.write(`concordat: nothing was migrated: ${withoutPasswords(errorMessage(error))}${remedy}\n`);
    return false;
  }
}
