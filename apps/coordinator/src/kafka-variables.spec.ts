import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { formatProblems, silentLogger } from '@concordat/foundation';
import { kafkaSecurityOptions } from '@concordat/messaging';
import { TestAuthority } from '@concordat/raft/testing';
import { parseConfig, type Config } from './config.js';

const directory = mkdtempSync(join(tmpdir(), 'concordat-kafka-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Buffer, mode = 0o600): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

const authority = TestAuthority.create();
const [own, other] = [1, 2].map((nodeId) => authority.issue({ clusterName: 'local', nodeId }));
const ended = authority.issue({ clusterName: 'local', nodeId: 1, notAfter: new Date('2021-01-01T00:00:00Z') });
const TLS = {
  KAFKA_TLS_CA: file('ca.pem', authority.certificate, 0o644),
  KAFKA_TLS_CERT: file('cert.pem', own!.cert, 0o644),
  KAFKA_TLS_KEY: file('key.pem', own!.key),
};
const SCRAM = {
  KAFKA_SASL_MECHANISM: 'scram-sha-512',
  KAFKA_SASL_USERNAME: 'coordinator',
  KAFKA_SASL_PASSWORD_FILE: file('password', 'secret-1\n'),
};

function parse(changes: Readonly<Record<string, string>>) {
  return parseConfig({
    CONCORDAT_NODE_ID: '1',
    CONCORDAT_PEERS: '1=127.0.0.1:9081/127.0.0.1:8081',
    CONCORDAT_DATA_DIR: '/d',
    KAFKA_BROKERS: 'k:1',
    ...changes,
  });
}

function configOf(changes: Readonly<Record<string, string>>): Config {
  const result = parse(changes);
  if (!result.ok) throw new TypeError(formatProblems(result.problems));
  return result.config;
}

function sentences(changes: Readonly<Record<string, string>>): string {
  const result = parse(changes);
  return result.ok ? '' : formatProblems(result.problems);
}

describe('TLS and SASL to the brokers', () => {
  it('are off by default', () => {
    expect(configOf({}).kafkaSecurity).toBeUndefined();
    expect(kafkaSecurityOptions(undefined, silentLogger)).toEqual({});
    expect(kafkaSecurityOptions(configOf({ KAFKA_TLS: 'on' }).kafkaSecurity, silentLogger)).toEqual({
      ssl: { minVersion: 'TLSv1.2' },
    });
  });

  it('are given to the client, which reads the files for each connection', () => {
    const complaints: string[] = [];
    const logger = { ...silentLogger, error: (line: string) => void complaints.push(line) };
    const { ssl, sasl } = kafkaSecurityOptions(configOf({ ...TLS, ...SCRAM }).kafkaSecurity, logger);
    // as the client does it
    const copied = (): object => ({ ...(ssl as object) });
    expect(copied()).toEqual({
      minVersion: 'TLSv1.2',
      ca: authority.certificate.toString(),
      cert: own!.cert.toString(),
      key: own!.key.toString(),
    });
    expect(sasl).toMatchObject({ mechanism: 'scram-sha-512', username: 'coordinator', password: 'secret-1' });
    file('password', 'secret-2\n');
    expect(sasl).toMatchObject({ password: 'secret-2' });
    file('password', 'secret-3\n', 0o644);
    expect(sasl).toMatchObject({ password: 'secret-2' });
    expect(sasl).toMatchObject({ password: 'secret-2' });
    expect(complaints).toEqual([expect.stringContaining('its mode is 0644, and 0600 would be right (chmod 0600)')]);
    file('password', 'secret-1\n');
  });

  it('reads a token for each connection', async () => {
    const KAFKA_SASL_PASSWORD_FILE = file('token', 'token-1\n');
    const { kafkaSecurity } = configOf({ KAFKA_SASL_MECHANISM: 'oauthbearer', KAFKA_SASL_PASSWORD_FILE });
    const { sasl } = kafkaSecurityOptions(kafkaSecurity, silentLogger);
    const { oauthBearerProvider } = sasl as { oauthBearerProvider: () => Promise<{ value: string }> };
    expect(await oauthBearerProvider()).toEqual({ value: 'token-1' });
    file('token', 'token-2\n');
    expect(await oauthBearerProvider()).toEqual({ value: 'token-2' });
  });

  it.each<[string, Record<string, string>, string]>([
    ['a certificate without its key', { KAFKA_TLS_CERT: TLS.KAFKA_TLS_CERT }, 'the key of KAFKA_TLS_CERT'],
    ['files, and TLS off', { ...TLS, KAFKA_TLS: 'off' }, 'there are files for TLS'],
    [
      'the key of another',
      { ...TLS, KAFKA_TLS_KEY: file('other.key', other!.key) },
      'the private key of the certificate in KAFKA_TLS_CERT',
    ],
    [
      'a certificate that has ended',
      { ...TLS, KAFKA_TLS_CERT: file('ended.pem', ended.cert, 0o644), KAFKA_TLS_KEY: file('ended.key', ended.key) },
      'a certificate that is valid now; this one ended on Jan  1 00:00:00 2021 GMT',
    ],
    ['a key that others can read', { ...TLS, KAFKA_TLS_KEY: file('open.key', own!.key, 0o644) }, 'chmod 0600'],
    [
      'an authority that is none',
      { KAFKA_TLS_CA: file('nonsense', 'hello', 0o644) },
      'a file with certificates in PEM',
    ],
    ['a file that is not there', { KAFKA_TLS_CA: join(directory, 'missing') }, 'the path of a readable file'],
    ['a mechanism that is none', { ...SCRAM, KAFKA_SASL_MECHANISM: 'gssapi' }, 'scram-sha-256'],
    ['a password without a mechanism', { KAFKA_SASL_PASSWORD: 'secret-canary' }, 'KAFKA_SASL_PASSWORD is set'],
    ['a mechanism without a password', { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'a' }, 'plain needs it'],
    ['two passwords', { ...SCRAM, KAFKA_SASL_PASSWORD: 'secret-canary' }, 'left out: KAFKA_SASL_PASSWORD is set'],
    [
      'a password that others can read',
      { ...SCRAM, KAFKA_SASL_PASSWORD_FILE: file('open', 'secret-canary', 0o640 | 0o004) },
      'chmod 0600',
    ],
    ['an empty password', { ...SCRAM, KAFKA_SASL_PASSWORD_FILE: file('empty', '\n') }, 'a file with a text in it'],
  ])('refuses %s, and tells no secret', (_what, changes, sentence) => {
    expect(sentences(changes)).toContain(sentence);
    expect(sentences(changes)).not.toContain('secret-canary');
  });
});
