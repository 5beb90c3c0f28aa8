import {
  appendFileSync,
  chmodSync,
  chownSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { TestAuthority } from '@concordat/raft/testing';
import { startTestPostgres, type TestPostgres } from './postgres.js';

/** A PostgreSQL server with TLS, its authority, and files for those who connect to it. */
export class SecuredPostgres {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'concordat-secured-postgres-'));
  readonly authority = TestAuthority.create();

  private constructor(readonly server: TestPostgres) {
    this.write('ca.pem', this.authority.certificate, 0o644);
    this.write('foreign-ca.pem', TestAuthority.create('another authority').certificate, 0o644);
    this.client('client', this.authority);
    this.client('foreign', TestAuthority.create('another authority'));
  }

  /** Its certificate is of `localhost` alone, so 127.0.0.1 is another host. */
  static async start(): Promise<SecuredPostgres> {
    const secured = new SecuredPostgres(await startTestPostgres());
    const { cert, key } = secured.authority.issue({ clusterName: 'test', nodeId: 1, hosts: ['localhost'] });
    secured.giveServer('server.crt', cert);
    secured.giveServer('server.key', key);
    secured.giveServer('root.crt', secured.authority.certificate);
    await secured.sql(`ALTER SYSTEM SET ssl_ca_file = 'root.crt'`);
    await secured.switchTls('on');
    return secured;
  }

  /** As superuser, in plain text. */
  async sql(text: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: this.server.url.replace(/postgres$/, database) });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** New connections see the change. */
  async switchTls(state: 'on' | 'off'): Promise<void> {
    await this.sql(`ALTER SYSTEM SET ssl = ${state}`);
    await this.reload();
  }

  /** Lines that come first in `pg_hba.conf`. */
  async demand(lines: readonly string[]): Promise<void> {
    const file = path.join(this.server.directory, 'pg_hba.conf');
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, `${lines.join('\n')}\n`);
    appendFileSync(file, before);
    await this.reload();
  }

  /** Of a role, by the name of the host that is in the certificate, or by another one. */
  urlOf(
    role: string,
    password: string | undefined,
    { host = 'localhost', database = 'postgres', query = '' } = {},
  ): string {
    const { port } = new URL(this.server.url);
    const login = password === undefined ? role : `${role}:${password}`;
    return `postgres://${login}@${host}:${port}/${database}${query === '' ? '' : `?${query}`}`;
  }

  path(name: string): string {
    return path.join(this.directory, name);
  }

  write(name: string, content: string | Buffer, mode = 0o600): string {
    writeFileSync(this.path(name), content, { mode });
    chmodSync(this.path(name), mode);
    return this.path(name);
  }

  async stop(): Promise<void> {
    await this.server.stop();
    rmSync(this.directory, { recursive: true });
  }

  private client(name: string, authority: TestAuthority): void {
    const { cert, key } = authority.issue({ clusterName: 'test', nodeId: 2, hosts: [] });
    this.write(`${name}.pem`, cert, 0o644);
    this.write(`${name}.key`, key);
  }

  /** The server reads it as its own user. */
  private giveServer(name: string, content: Buffer): void {
    const file = path.join(this.server.directory, name);
    writeFileSync(file, content, { mode: 0o600 });
    const { uid, gid } = statSync(this.server.directory);
    if (process.getuid?.() === 0) chownSync(file, uid, gid);
  }

  /** Resolves when the settings count: the server reads them at a moment of its own. */
  private async reload(): Promise<void> {
    const loaded = async (): Promise<unknown> => (await this.sql('SELECT pg_conf_load_time()::text AS at'))[0]?.['at'];
    const before = await loaded();
    await this.sql('SELECT pg_reload_conf()');
    while ((await loaded()) === before) await new Promise((resolve) => setImmediate(resolve));
  }
}
