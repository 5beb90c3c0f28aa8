const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/;

/** Whether a schema can have the tables of Concordat: a name that SQL need not quote. */
export function isSchemaName(name: string): boolean {
  return SCHEMA.test(name);
}
