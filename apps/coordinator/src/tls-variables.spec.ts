import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { formatProblems } from '@concordat/foundation';
import { TestAuthority } from '@concordat/raft/testing';
import { parseConfig, type ConfigResult } from './config.js';

const CA = 'CONCORDAT_RAFT_TLS_CA';
const CERT = 'CONCORDAT_RAFT_TLS_CERT';
const KEY = 'CONCORDAT_RAFT_TLS_KEY';

let directory: string;
let files: Record<string, string>;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordat-tls-'));
  const authority = TestAuthority.create();
  const own = authority.issue({ clusterName: 'bank', nodeId: 1 });
  const other = authority.issue({ clusterName: 'bank', nodeId: 2 });
  const old = authority.issue({ clusterName: 'bank', nodeId: 1, notAfter: new Date('2021-01-01T00:00:00Z') });
  const file = (name: string, content: string | Buffer, mode = 0o600): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };
  files = {
    ca: file('ca.pem', own.ca),
    cert: file('cert.pem', own.cert),
    key: file('key.pem', own.key),
    otherCert: file('other.pem', other.cert),
    otherKey: file('other.key.pem', other.key),
    oldCert: file('old.pem', old.cert),
    oldKey: file('old.key.pem', old.key),
    openKey: file('open.key.pem', own.key, 0o644),
    openCa: file('open.ca.pem', own.ca, 0o666),
    revoked: file('revoked', '# none\n0a:0B\n', 0o644),
    nonsense: file('nonsense.pem', 'hello'),
    missing: join(directory, 'missing.pem'),
    directory,
  };
});
afterAll(() => rmSync(directory, { recursive: true }));

function parse(variables: Record<string, string>): ConfigResult {
  const named = Object.entries(variables).map(([name, file]) => [name, files[file] ?? file]);
  return parseConfig({
    CONCORDAT_NODE_ID: '1',
    CONCORDAT_CLUSTER: 'bank',
    CONCORDAT_PEERS: '1=127.0.0.1:9081/127.0.0.1:8081',
    CONCORDAT_DATA_DIR: '/d',
    KAFKA_BROKERS: 'k:1',
    ...Object.fromEntries(named),
  });
}

function problems(variables: Record<string, string>): string[] {
  const result = parse(variables);
  return result.ok ? [] : result.problems.map(({ variable }) => variable);
}

describe('TLS between the nodes', () => {
  it('is off without files, and on with all three', () => {
    const off = parse({});
    expect(off.ok && off.config.raftTls).toBeUndefined();
    const on = parse({ [CA]: 'ca', [CERT]: 'cert', [KEY]: 'key' });
    expect(on.ok && on.config.raftTls).toEqual({
      paths: { ca: files['ca'], certificate: files['cert'], key: files['key'] },
      mode: 'require',
    });
  });

  it('may be mixed with plain text for a time, and knows revoked certificates, only where there are some', () => {
    const all = { [CA]: 'ca', [CERT]: 'cert', [KEY]: 'key' };
    const mixed = parse({ ...all, CONCORDAT_RAFT_TLS: 'accept', [REVOKED]: 'revoked' });
    expect(mixed.ok && mixed.config.raftTls).toMatchObject({ mode: 'accept', paths: { revoked: files['revoked'] } });
    expect(problems({ CONCORDAT_RAFT_TLS: 'prefer' })).toEqual(['CONCORDAT_RAFT_TLS']);
    expect(problems({ ...all, CONCORDAT_RAFT_TLS: 'perhaps' })).toEqual(['CONCORDAT_RAFT_TLS']);
    expect(problems({ ...all, [REVOKED]: 'nonsense' })).toEqual([REVOKED]);
    const http = { CONCORDAT_HTTP_TLS_CA: 'ca', CONCORDAT_HTTP_TLS_CERT: 'cert', CONCORDAT_HTTP_TLS_KEY: 'key' };
    expect(problems({ ...all, ...http, [REVOKED]: 'nonsense' })).toEqual([REVOKED]);
  });

  it.each([
    [{ [CA]: 'ca' }, [CERT, KEY]],
    [{ [CERT]: 'cert', [KEY]: 'key' }, [CA]],
    [{ [CA]: 'ca', [CERT]: 'cert' }, [KEY]],
  ])('wants all files or none: %j', (variables, missing) => {
    expect(problems(variables)).toEqual(missing);
  });

  it.each([
    ['a file that is not there', { [CA]: 'missing', [CERT]: 'cert', [KEY]: 'key' }, CA],
    ['a directory', { [CA]: 'ca', [CERT]: 'directory', [KEY]: 'key' }, CERT],
    ['a file of something else', { [CA]: 'ca', [CERT]: 'cert', [KEY]: 'nonsense' }, KEY],
    ['a key for a certificate', { [CA]: 'key', [CERT]: 'cert', [KEY]: 'key' }, CA],
    ['a certificate for a key', { [CA]: 'ca', [CERT]: 'cert', [KEY]: 'cert' }, KEY],
    ['the key of another certificate', { [CA]: 'ca', [CERT]: 'cert', [KEY]: 'otherKey' }, KEY],
    ['the certificate of another node', { [CA]: 'ca', [CERT]: 'otherCert', [KEY]: 'otherKey' }, CERT],
    [
      'the certificate of another cluster',
      { [CA]: 'ca', [CERT]: 'cert', [KEY]: 'key', CONCORDAT_CLUSTER: 'other' },
      CERT,
    ],
  ])('refuses %s', (_name, variables, wrong) => {
    expect(problems(variables)).toEqual([wrong]);
  });

  it('says the file and what would be right', () => {
    const result = parse({ [CA]: 'ca', [CERT]: 'otherCert', [KEY]: 'otherKey' });
    expect(result.ok ? '' : formatProblems(result.problems)).toBe(
      `CONCORDAT_RAFT_TLS_CERT="${files['otherCert']}" is wrong; it must be a certificate of this node: ` +
        'with the URI concordat://bank/node/1 among its names (SAN), and no other one of the scheme concordat',
    );
  });
});

const HTTP_CA = 'CONCORDAT_HTTP_TLS_CA';
const HTTP_CERT = 'CONCORDAT_HTTP_TLS_CERT';
const HTTP_KEY = 'CONCORDAT_HTTP_TLS_KEY';
const REVOKED = 'CONCORDAT_REVOKED_FILE';

function sentences(variables: Record<string, string>): string {
  const result = parse(variables);
  return result.ok ? '' : formatProblems(result.problems);
}

describe('TLS of the REST interface', () => {
  it('is off without files; with them, plain text must be allowed aloud', () => {
    const off = parse({});
    expect(off.ok && off.config.tls).toBeUndefined();
    const on = parse({ [HTTP_CERT]: 'cert', [HTTP_KEY]: 'key' });
    expect(on.ok && on.config).toMatchObject({
      tls: { mode: 'require', needsClientCertificate: false },
      auth: undefined,
    });
    const mutual = parse({ [HTTP_CA]: 'ca', [HTTP_CERT]: 'cert', [HTTP_KEY]: 'key' });
    expect(mutual.ok && mutual.config.auth).toMatchObject({ certificatesOf: 'bank', tokenFile: undefined });
  });

  it.each([
    [{ [HTTP_CERT]: 'cert' }, [HTTP_KEY]],
    [{ [HTTP_CA]: 'ca' }, [HTTP_CERT, HTTP_KEY]],
    [{ [HTTP_CERT]: 'cert', [HTTP_KEY]: 'key', CONCORDAT_LINK: 'both' }, [HTTP_CA]],
    [{ [HTTP_CERT]: 'cert', [HTTP_KEY]: 'key', CONCORDAT_HTTP_TLS_CLIENTS: 'require' }, [HTTP_CA]],
    [{ [HTTP_CERT]: 'cert', [HTTP_KEY]: 'key', [REVOKED]: 'revoked' }, [HTTP_CA]],
    [{ CONCORDAT_TLS: 'accept' }, ['CONCORDAT_TLS']],
    [{ CONCORDAT_HTTP_TLS_CLIENTS: 'require' }, ['CONCORDAT_HTTP_TLS_CLIENTS']],
    [{ [REVOKED]: 'revoked' }, [REVOKED]],
  ])('wants what belongs together: %j', (variables, wrong) => {
    expect(problems(variables)).toEqual(wrong);
  });

  const all = { [HTTP_CA]: 'ca', [HTTP_CERT]: 'cert', [HTTP_KEY]: 'key', [REVOKED]: 'revoked' };
  it.each([
    [
      'a key that others can read',
      { [HTTP_KEY]: 'openKey' },
      HTTP_KEY,
      'its mode is 0644, and 0600 would be right (chmod 0600)',
    ],
    [
      'an authority that others can write',
      { [HTTP_CA]: 'openCa' },
      HTTP_CA,
      'its mode is 0666, and 0644 would be right',
    ],
    ['the key of another certificate', { [HTTP_KEY]: 'otherKey' }, HTTP_KEY, 'the private key of the certificate'],
    [
      'the certificate of another node',
      { [HTTP_CERT]: 'otherCert', [HTTP_KEY]: 'otherKey' },
      HTTP_CERT,
      'a certificate of this node',
    ],
    [
      'a certificate that has ended',
      { [HTTP_CERT]: 'oldCert', [HTTP_KEY]: 'oldKey' },
      HTTP_CERT,
      'a certificate that is valid now; this one ended on',
    ],
    ['a file that is not there', { [HTTP_KEY]: 'missing' }, HTTP_KEY, 'the path of a readable file'],
    ['serial numbers that are none', { [REVOKED]: 'nonsense' }, REVOKED, 'a file with serial numbers of certificates'],
  ])('refuses %s, with a sentence', (_what, change, wrong, sentence) => {
    expect(problems({ ...all, ...change })).toEqual([wrong]);
    expect(sentences({ ...all, ...change })).toContain(sentence);
    expect(sentences({ ...all, ...change })).not.toContain('PRIVATE KEY');
  });
});
