import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { FileKind } from '@concordat/foundation';
import { markdownTable } from '@concordat/foundation/testing';
import { createKey } from '@concordat/messaging';
import { createApiToken } from './auth/credentials/api-tokens.js';
import { parseConfig, VARIABLES } from './config.js';
import { CLUSTER, TestCertificates } from './http/testing/test-certificates.js';

type Kind = FileKind | 'written' | 'debug';

/** What each file is that a coordinator reads; `written`: the coordinator makes it; `debug`: never in production. */
const FILES: Readonly<Record<string, Kind>> = {
  CONCORDAT_RAFT_TLS_CA: 'trusted',
  CONCORDAT_RAFT_TLS_CERT: 'public',
  CONCORDAT_RAFT_TLS_KEY: 'secret',
  CONCORDAT_HTTP_TLS_CA: 'trusted',
  CONCORDAT_HTTP_TLS_CERT: 'public',
  CONCORDAT_HTTP_TLS_KEY: 'secret',
  CONCORDAT_REVOKED_FILE: 'trusted',
  CONCORDAT_SIGNING_KEY_FILE: 'secret',
  CONCORDAT_TRUSTED_KEYS_FILE: 'trusted',
  KAFKA_TLS_CA: 'trusted',
  KAFKA_TLS_CERT: 'public',
  KAFKA_TLS_KEY: 'secret',
  KAFKA_SASL_USERNAME_FILE: 'secret',
  KAFKA_SASL_PASSWORD_FILE: 'secret',
  CONCORDAT_AUTH_TOKEN_FILE: 'secret',
  CONCORDAT_AUTH_KEY_FILE: 'trusted',
  CONCORDAT_AUDIT_FILE: 'written',
  CONCORDAT_CLOCK_FILE: 'debug',
};
const READ = Object.entries(FILES).filter(([, kind]) => kind !== 'written' && kind !== 'debug') as [string, FileKind][];

const MEANINGS: Readonly<Record<Kind, readonly [string, string]>> = {
  secret: ['nobody but its owner may read it', '0600 (0640 if it belongs to root)'],
  trusted: ['nobody but its owner may write it', '0644'],
  public: ['everybody may read it; it proves nothing without its key', 'any'],
  written: ['the coordinator makes it', '0600'],
  debug: ['for tests and demos only: a writer of it sets the clock of the node', 'any'],
};
const WRONG = { secret: 0o644, trusted: 0o666 } as const;
const RIGHT = { secret: 'chmod 0600', trusted: 'chmod 0644' } as const;

const DOCUMENT = path.resolve(import.meta.dirname, '../../../docs/security.md');
const START = '<!-- made from apps/coordinator/src/secret-files.spec.ts; do not edit -->\n';
const END = '\n<!-- end of what is made -->';

function withTable(document: string): string {
  const [before, rest, ...more] = document.split(START);
  if (before === undefined || rest === undefined || more.length > 0)
    throw new TypeError('the marks are not there once');
  const rows = Object.entries(FILES).map(([name, kind]) => [`\`${name}\``, ...MEANINGS[kind]]);
  const table = markdownTable(['file', 'rule', 'mode'], rows);
  return `${before}${START}\n${table}\n${rest.slice(rest.indexOf(END))}`;
}

let certificates: TestCertificates;
let environment: Record<string, string>;

beforeAll(() => {
  certificates = new TestCertificates();
  const text = (name: string, content: string | Buffer): string => certificates.write(name, content);
  const { cert, key } = certificates.authority.issue({ clusterName: CLUSTER, nodeId: 1 });
  const signing = createKey({ id: 'k1', algorithm: 'ed25519', senders: ['coordinator'] });
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const contents: Readonly<Record<string, string | Buffer>> = {
    CONCORDAT_RAFT_TLS_CA: certificates.authority.certificate,
    CONCORDAT_RAFT_TLS_CERT: cert,
    CONCORDAT_RAFT_TLS_KEY: key,
    CONCORDAT_HTTP_TLS_CA: certificates.authority.certificate,
    CONCORDAT_HTTP_TLS_CERT: cert,
    CONCORDAT_HTTP_TLS_KEY: key,
    CONCORDAT_REVOKED_FILE: '# none\n',
    CONCORDAT_SIGNING_KEY_FILE: signing.signing,
    CONCORDAT_TRUSTED_KEYS_FILE: `{"keys":[${signing.trusted}]}`,
    KAFKA_TLS_CA: certificates.authority.certificate,
    KAFKA_TLS_CERT: cert,
    KAFKA_TLS_KEY: key,
    KAFKA_SASL_USERNAME_FILE: 'coordinator',
    KAFKA_SASL_PASSWORD_FILE: 'secret',
    CONCORDAT_AUTH_TOKEN_FILE: createApiToken({ name: 'a', roles: ['client'] }).line,
    CONCORDAT_AUTH_KEY_FILE: publicKey.export({ type: 'spki', format: 'pem' }),
  };
  environment = {
    CONCORDAT_NODE_ID: '1',
    CONCORDAT_HTTP: '127.0.0.1:8081',
    CONCORDAT_RAFT: '127.0.0.1:9081',
    CONCORDAT_PEERS: '1=127.0.0.1:9081/127.0.0.1:8081',
    CONCORDAT_DATA_DIR: certificates.path('data'),
    CONCORDAT_CLUSTER: CLUSTER,
    KAFKA_BROKERS: '127.0.0.1:9092',
    KAFKA_SASL_MECHANISM: 'plain',
    CONCORDAT_SIGNATURES: 'require',
    CONCORDAT_AUTH_ISSUER: 'https://issuer.example',
    CONCORDAT_AUTH_AUDIENCE: 'concordat',
    ...Object.fromEntries(Object.entries(contents).map(([name, content]) => [name, text(name, content)])),
  };
});
afterAll(() => certificates.remove());

describe('the files of a coordinator', () => {
  it('each have a rule who may read and write them, and no rule is without a file', () => {
    const isFile = (name: string): boolean =>
      /_FILE$|_TLS_(CA|CERT|KEY)$/.test(name) || /^file with\b/.test(VARIABLES[name as keyof typeof VARIABLES].meaning);
    expect(Object.keys(VARIABLES).filter(isFile).sort()).toEqual(Object.keys(FILES).sort());
  });

  it('are taken together with the modes that are right', () => {
    expect(parseConfig(environment)).toMatchObject({ ok: true });
  });

  it.each(READ)('%s is a file that is %s', (name, kind) => {
    const file = environment[name]!;
    if (kind === 'public') {
      chmodSync(file, 0o666);
      expect(parseConfig(environment).ok).toBe(true);
      return;
    }
    chmodSync(file, WRONG[kind]);
    try {
      const result = parseConfig(environment);
      const problems = result.ok ? [] : result.problems;
      expect(problems).toContainEqual(
        expect.objectContaining({ variable: name, expected: expect.stringContaining(RIGHT[kind]) }),
      );
    } finally {
      chmodSync(file, 0o600);
    }
  });

  it('stand in docs/security.md (CONCORDAT_UPDATE_DOCS=1 writes the table anew)', () => {
    const expected = withTable(readFileSync(DOCUMENT, 'utf8'));
    if (process.env['CONCORDAT_UPDATE_DOCS'] === '1') writeFileSync(DOCUMENT, expected);
    expect(readFileSync(DOCUMENT, 'utf8')).toBe(expected);
  });
});
