/** Whether a URL of a database has its password in it, before the host or as a parameter. */
export function hasPassword(url: string): boolean {
  const { password, searchParams } = new URL(url);
  return password !== '' || searchParams.has('password');
}

const WARNING = `concordat: warning: the password in --database was in the process list, where every user of this machine could read
it, and the shell may keep it in its history. Leave it out of the URL, and give it by PGPASSWORD or by a file
(--database-password-file).
`;

/**
 * Says what to do where a password is among the words of the command line, and takes the words out of the process list
 * for the time that is left.
 */
export function hidePasswords(command: string, databases: readonly string[]): void {
  if (!databases.some(hasPassword)) return;
  process.title = `concordat ${command}`; // overwrites the words
  process.stderr.write(WARNING);
}
