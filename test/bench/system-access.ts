import { readFileSync } from 'node:fs';
import { Agent, fetch as fetchBy, type RequestInit, type Response } from 'undici';
import { LocalSecurity } from '../../apps/lab/src/local-system/security/index.js';
import type { SystemProcess } from './participants.js';

/** Longer than any benchmark. */
const JWT_SECONDS = 24 * 3_600;

/** How a benchmark calls the processes of its system: in plain text, or with the credentials of a secured one. */
export class SystemAccess {
  private readonly security: LocalSecurity | undefined;
  private readonly agent: Agent | undefined;

  /** @param directory of the system */
  constructor(directory: string, clusterName: string, isSecure: boolean) {
    this.security = isSecure ? LocalSecurity.of(directory, clusterName) : undefined;
    this.agent = this.security && new Agent({ connect: { ca: this.ca } });
  }

  /** Certificates of the authorities by which coordinators are known; undefined: they speak plain text. */
  get ca(): string | undefined {
    return this.security && readFileSync(this.security.certificates.caFile, 'utf8');
  }

  /** A JWT for a client that begins transactions; undefined where nobody is asked. */
  async clientToken(): Promise<string | undefined> {
    return await this.security?.credentials.jwt({ subject: 'bench', roles: ['client'], seconds: JWT_SECONDS });
  }

  urlOf({ role, ports }: SystemProcess): string {
    const scheme = this.security && role === 'coordinator' ? 'https' : 'http';
    return `${scheme}://127.0.0.1:${ports['http']}`;
  }

  /** One request with the rights of an operator. */
  async fetch(
    url: string,
    { headers, ...init }: Omit<RequestInit, 'headers'> & { headers?: Record<string, string> } = {},
  ): Promise<Response> {
    if (!this.security || !this.agent) return await fetchBy(url, { ...init, ...(headers && { headers }) });
    const authorization = `Bearer ${this.security.credentials.token('lab')}`;
    return await fetchBy(url, { ...init, headers: { ...headers, authorization }, dispatcher: this.agent });
  }

  /** The superuser's own database of one of the servers. */
  superuserUrl({ ports }: SystemProcess): string {
    const password = this.security?.servers.databasePassword('postgres') ?? 'postgres';
    const url = `postgres://postgres:${password}@127.0.0.1:${ports['postgres']}/postgres`;
    return this.security ? `${url}?sslmode=verify-full&sslrootcert=${this.security.servers.caFile}` : url;
  }

  async close(): Promise<void> {
    await this.agent?.close();
  }
}
