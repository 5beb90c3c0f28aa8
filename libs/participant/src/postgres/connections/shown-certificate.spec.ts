import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { certificateExpiries, silentLogger, SystemClock } from '@concordat/foundation';
import { TestAuthority } from '@concordat/raft/testing';
import { watchShownCertificate } from './shown-certificate.js';

const DAY_MS = 86_400_000;
const directory = mkdtempSync(join(tmpdir(), 'concordat-shown-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

const clock = new SystemClock();
const lines: string[] = [];
const logger = { ...silentLogger, warn: (line: string) => void lines.push(line) };

describe('the certificate for the database', () => {
  it('is warned of before its end, which is a metric', () => {
    const notAfter = new Date(clock.now() + 10 * DAY_MS);
    const { cert, key } = TestAuthority.create().issue({ clusterName: 'local', nodeId: 1, notAfter });
    const query = new URLSearchParams({ sslcert: file('cert.pem', cert), sslkey: file('key.pem', key) }).toString();
    const watched = watchShownCertificate({ connectionString: `postgres://a:b@db:5432/a?${query}` }, clock, logger);
    expect(Math.round(certificateExpiries()['postgres']! / 86_400)).toBe(10);
    expect(lines).toEqual([expect.stringContaining('the certificate of postgres ends in 10 days')]);
    watched?.stop();
    expect(certificateExpiries()).toEqual({});
  });

  it('is not watched where there is none, or a file that is none', () => {
    expect(
      watchShownCertificate({ connectionString: 'postgres://a:b@db:5432/a?sslmode=require' }, clock, logger),
    ).toBeUndefined();
    expect(
      watchShownCertificate(
        { connectionString: 'postgres://a:b@db:5432/a?sslcert=/missing&sslkey=/missing' },
        clock,
        logger,
      ),
    ).toBeUndefined();
    expect(lines.at(-1)).toContain('the certificate for the database is not watched: /missing is not usable');
  });
});
