import { failure, ok, warning } from './check.js';
import type { DatabaseCheckContext, DatabaseFinding } from './database-check.js';
import type { DatabaseFacts, Privilege } from './database-facts.js';

/** What a participant at work needs in its schema; that it may also migrate, where it has to. */
export function privileges({ facts, ledgerVersion }: DatabaseCheckContext): DatabaseFinding {
  const { role, schema, ledger, where } = facts;
  const lack = (what: string, fix: string): DatabaseFinding => failure(what, fix, 'DATABASE_PERMISSION_DENIED');
  if (!ledger.schemaExists) {
    return lack(
      `the schema "${schema}" does not exist at ${where}`,
      `CREATE SCHEMA "${schema}" AUTHORIZATION "${role}", or let a role for migrations own it: ${migrateCommand(facts)}`,
    );
  }
  if (!ledger.mayUseSchema) {
    return lack(
      `the role "${role}" may not use the schema "${schema}" at ${where}`,
      `GRANT USAGE ON SCHEMA "${schema}" TO "${role}"`,
    );
  }
  const mustMigrate = ledger.version === undefined || ledger.version < ledgerVersion;
  const mayMigrate = ledger.mayCreateInSchema && (!ledger.exists || ledger.mayAlter);
  if (mustMigrate && !mayMigrate && !hidesItsVersion(facts)) {
    const what = ledger.exists
      ? `Concordat's tables in the schema "${schema}" at ${where} have version ${ledger.version ?? 0}, this release needs ${ledgerVersion}`
      : `Concordat's tables are missing in the schema "${schema}" at ${where}`;
    return failure(
      `${what}, and the role "${role}" may not ${ledger.exists ? 'migrate' : 'create'} them`,
      `let the role that owns the schema run: ${migrateCommand(facts)}. Or GRANT CREATE ON SCHEMA "${schema}" TO "${role}", ` +
        'which makes it the owner of its tables',
      'LEDGER_NOT_MIGRATED',
    );
  }
  if (ledger.lacking.length > 0) {
    const lacking = ledger.lacking.map(({ privilege, name }) => `${privilege} on ${name}`);
    return lack(`the role "${role}" lacks ${lacking.join(', ')} at ${where}`, grantsOf(facts));
  }
  return ok(`the role "${role}" has the privileges that it needs in the schema "${schema}"`);
}

/** A role that can do more than its work does more harm when its password is stolen. */
export function leastPrivilege({ facts, isDevelopment }: DatabaseCheckContext): DatabaseFinding {
  const { role, powers } = facts;
  if (powers.length === 0) return ok(`the role "${role}" may do no more than its work`);
  const sentence = `the role "${role}" ${powers.join(', ')}`;
  if (isDevelopment && facts.isOnThisMachine) return ok(`${sentence}, which is usual in development`);
  return warning(
    `${sentence}: more than a participant at work needs`,
    'give the process a role that owns nothing, and another one for migrations: "Roles in PostgreSQL" in docs/security.md ' +
      'has the SQL for both',
  );
}

/** The version may not be read, so nobody knows whether there is anything to migrate: the grants come first. */
function hidesItsVersion({ ledger }: DatabaseFacts): boolean {
  return ledger.version === undefined && ledger.lacking.some(({ name }) => name === 'concordat_migration');
}

function migrateCommand({ schema, role, database, ledger: { owner } }: DatabaseFacts): string {
  const options = [
    `--database postgres://<its role>@<host>/${database}`,
    ...(schema === 'public' ? [] : [`--schema ${schema}`]),
    `--grant-to ${role}`,
    ...(owner ? [] : ['--participant <name>', '--cluster <name>']),
  ];
  return `npx concordat migrate ${options.join(' ')}`;
}

function grantsOf({ schema, role, ledger: { lacking } }: DatabaseFacts): string {
  return lacking.map((one) => grantOf(one, schema, role)).join('; ');
}

function grantOf({ privilege, name, isRoutine }: Privilege, schema: string, role: string): string {
  return `GRANT ${privilege} ON ${isRoutine ? 'ROUTINE ' : ''}"${schema}".${name} TO "${role}"`;
}
