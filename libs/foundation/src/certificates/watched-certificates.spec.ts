import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LocalAuthority } from '../authority/local-authority.js';
import { silentLogger } from '../logger.js';
import { ShownCertificate } from './shown-certificate.js';
import { WatchedCertificates } from './watched-certificates.js';

const DAY_MS = 86_400_000;
const authority = LocalAuthority.create('first');
const successor = LocalAuthority.create('second');
const thief = authority.issue({ subject: 'thief' });
const shown = new ShownCertificate([new X509Certificate(thief.cert)]);
let directory: string;
let watched: WatchedCertificates;
let lines: string[];
let now: number;
let changes: number;

const write = (name: string, content: string | Buffer, mode: number): string => {
  const path = join(directory, name);
  writeFileSync(path, content, { mode });
  chmodSync(path, mode);
  return path;
};

/** The own certificate ends in so many days. */
function writeOwn(days: number): void {
  const { cert, key } = authority.issue({ subject: 'own', notAfter: new Date(Date.now() + days * DAY_MS) });
  write('own.pem', cert, 0o644);
  write('own.key', key, 0o600);
}

const revoke = (): string => write('revoked', new X509Certificate(thief.cert).serialNumber, 0o644);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordat-watched-'));
  lines = [];
  now = Date.now();
  changes = 0;
  const note = (line: string): void => void lines.push(line);
  writeOwn(2);
  const paths = {
    ca: write('ca.pem', authority.certificate, 0o644),
    certificate: join(directory, 'own.pem'),
    key: join(directory, 'own.key'),
    revoked: write('revoked', '', 0o644),
  };
  const logger = { ...silentLogger, info: note, error: note };
  watched = new WatchedCertificates({ use: 'http', paths, logger, now: () => now });
  watched.onChange(() => changes++);
});
afterEach(() => {
  watched.stop();
  rmSync(directory, { recursive: true });
});

describe('files of certificates of which some are out of order', () => {
  const faults: [string, () => void, RegExp][] = [
    [
      'the own certificate has ended',
      () => (now += 3 * DAY_MS),
      /own\.pem must be a certificate that is valid now; this one ended on /,
    ],
    [
      'others may read the key',
      () => chmodSync(join(directory, 'own.key'), 0o644),
      /own\.key must be a file that nobody but its owner may read: its mode is 0644/,
    ],
    [
      'the certificate is none',
      () => void write('own.pem', 'nonsense', 0o644),
      /own\.pem must be the path of a file with a certificate in PEM/,
    ],
    ['there is no key', () => rmSync(join(directory, 'own.key')), /own\.key must be the path of a readable file/],
  ];

  it.each(faults)('take what is revoked although %s, and say both', (_what, spoil, complaint) => {
    const { certificate, key } = watched.current;
    spoil();
    revoke();
    watched.readAgain();
    expect(watched.faultOf(shown)).toEqual({ kind: 'revoked', clause: 'is revoked' });
    expect(lines).toEqual([
      expect.stringMatching(complaint),
      'the revocations of http have changed and are read again',
    ]);
    expect(lines[0]).toMatch(/^the certificates of http are not taken; the last ones stay: /);
    expect(watched.current).toMatchObject({ certificate, key });
    expect(changes).toBe(1);
  });

  it.each(faults)('take which authorities are trusted although %s', (_what, spoil) => {
    expect(watched.faultOf(shown)).toBeUndefined();
    spoil();
    write('ca.pem', successor.certificate, 0o644);
    watched.readAgain();
    expect(watched.faultOf(shown)).toMatchObject({ kind: 'untrusted' });
    expect(lines).toContain('the authorities of http have changed and are read again');
  });

  it('keep the last revocations and authorities while the new ones cannot be used', () => {
    revoke();
    watched.readAgain();
    chmodSync(join(directory, 'ca.pem'), 0o666);
    write('revoked', 'nonsense', 0o644);
    writeOwn(10);
    const before = watched.current;
    lines = [];
    watched.readAgain();
    expect(watched.faultOf(shown)).toMatchObject({ kind: 'revoked' });
    expect(watched.current.ca).toBe(before.ca);
    expect(watched.current.key).not.toBe(before.key);
    expect(lines).toEqual([
      expect.stringMatching(/^the authorities of http are not taken; the last ones stay: \S+ca\.pem must be /),
      expect.stringMatching(/^the revocations of http are not taken; the last ones stay: \S+revoked must be /),
      'the certificates of http have changed and are read again',
    ]);
  });

  it('change nothing, and tell nobody, when nothing else has changed', () => {
    write('own.pem', 'nonsense', 0o644);
    watched.readAgain();
    expect(lines).toHaveLength(1);
    expect(changes).toBe(0);
    writeOwn(2);
    watched.readAgain();
    expect(changes).toBe(1);
  });

  it('keep nobody from a change when another who is told of it fails', () => {
    let told = 0;
    watched.onChange(() => {
      throw new Error('cannot');
    });
    watched.onChange(() => told++);
    watched.onReview(() => told++);
    revoke();
    watched.readAgain();
    expect(told).toBe(2);
  });
});

describe('open connections', () => {
  it('are looked at again each second, because certificates end', async () => {
    await new Promise<void>((resolve) => watched.onReview(resolve));
  });
});
