import { escapeIdentifier } from 'pg';
import { LEDGER_ROUTINES, LEDGER_TABLES } from '../statements/inspection-statements.js';

/**
 * The statements that give a role what a participant at work needs, and no more. It ends what it has prepared itself, for
 * which PostgreSQL asks for no privilege, but for being the same role.
 */
export function runtimeGrants(schema: string, role: string): readonly string[] {
  const [place, grantee] = [escapeIdentifier(schema), escapeIdentifier(role)];
  const tables = Object.entries(LEDGER_TABLES).map(
    ([table, privileges]) => `GRANT ${privileges.join(', ')} ON ${place}.${table} TO ${grantee}`,
  );
  const routines = LEDGER_ROUTINES.map((routine) => `${place}.${routine}`).join(', ');
  return [
    `GRANT USAGE ON SCHEMA ${place} TO ${grantee}`,
    ...tables,
    `GRANT EXECUTE ON ROUTINE ${routines} TO ${grantee}`,
  ];
}
