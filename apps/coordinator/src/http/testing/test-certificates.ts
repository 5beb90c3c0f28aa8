import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request, type Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { certificateUri, type CertificateRole } from '@concordat/foundation';
import { TestAuthority } from '@concordat/raft/testing';

export const CLUSTER = 'local';

/** Certificate and key, and the authorities by which the other end is judged. */
export interface TestTls {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface TestClient {
  readonly roles: readonly CertificateRole[];
  readonly name?: string;
  readonly clusterName?: string;
  readonly notAfter?: Date;
  /** default: that of the cluster */
  readonly authority?: TestAuthority;
}

/** An authority and the files of nodes, in a directory of their own. */
export class TestCertificates {
  readonly directory = mkdtempSync(join(tmpdir(), 'concordat-certificates-'));
  readonly authority = TestAuthority.create();

  constructor() {
    this.write('ca.pem', this.authority.certificate, 0o644);
    this.write('revoked', '# none\n', 0o644);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, content: string | Buffer, mode = 0o600): string {
    writeFileSync(this.path(name), content, { mode });
    return this.path(name);
  }

  /** Writes the files of a node, and says where they are. */
  node(nodeId: number, options: Partial<Parameters<TestAuthority['issue']>[0]> = {}): Record<string, string> {
    const { cert, key } = this.authority.issue({ clusterName: CLUSTER, nodeId, ...options });
    return {
      CONCORDAT_HTTP_TLS_CA: this.path('ca.pem'),
      CONCORDAT_HTTP_TLS_CERT: this.write(`node-${nodeId}.pem`, cert, 0o644),
      CONCORDAT_HTTP_TLS_KEY: this.write(`node-${nodeId}.key`, key),
      CONCORDAT_REVOKED_FILE: this.path('revoked'),
    };
  }

  client({ roles, name = 'alice', clusterName = CLUSTER, authority = this.authority, notAfter }: TestClient): TestTls {
    const uris = roles.map((role) => certificateUri({ clusterName, role, name }));
    const issued = authority.issue({
      clusterName,
      nodeId: 1,
      withIdentity: false,
      uris,
      ...(notAfter && { notAfter }),
    });
    return { cert: issued.cert, key: issued.key, ca: this.authority.certificate };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}

export interface SecureAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

export interface SecureQuestion {
  readonly method?: string;
  readonly body?: object;
  readonly headers?: Record<string, string>;
  /** default: none */
  readonly agent?: Agent;
}

/** One request, over a connection of its own unless there is an agent. */
export function askSecurely(
  url: string,
  tls: ConnectionOptions,
  { method = 'GET', body, headers = {}, agent }: SecureQuestion = {},
): Promise<SecureAnswer> {
  return new Promise((resolve, reject) => {
    const text = body && JSON.stringify(body);
    const sent = request(
      url,
      {
        ...tls,
        agent: agent ?? false,
        method,
        headers: { ...headers, ...(text && { 'content-type': 'application/json' }) },
      },
      (response) => {
        let received = '';
        response.setEncoding('utf8');
        response.on('data', (piece: string) => (received += piece));
        response.on('error', reject);
        response.on('end', () => {
          const isJson = received.startsWith('{');
          const parsed = isJson ? (JSON.parse(received) as Record<string, unknown>) : {};
          resolve({ status: response.statusCode ?? 0, body: parsed, text: received });
        });
      },
    );
    sent.on('error', reject);
    sent.end(text);
  });
}
