import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
  const file = (name: string, content: string | Buffer): string => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  files = {
    ca: file('ca.pem', own.ca),
    cert: file('cert.pem', own.cert),
    key: file('key.pem', own.key),
    otherCert: file('other.pem', other.cert),
    otherKey: file('other.key.pem', other.key),
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
    expect(on.ok && on.config.raftTls?.key).toContain('PRIVATE KEY');
    expect(on.ok && on.config.raftTls?.certificate).toContain('BEGIN CERTIFICATE');
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
        'with the URI concordat://bank/node/1 among its names (SAN)',
    );
  });
});
