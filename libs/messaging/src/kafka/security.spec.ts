import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { certificateExpiries, silentLogger } from '@concordat/foundation';
import { LocalAuthority } from '@concordat/foundation/authority';
import { kafkaSecurityOptions } from './security.js';

const DAY_MS = 86_400_000;
const directory = mkdtempSync(path.join(tmpdir(), 'concordat-kafka-security-'));
afterAll(() => rmSync(directory, { recursive: true }));

const lines: string[] = [];
const logger = { ...silentLogger, warn: (line: string) => void lines.push(line) };

function file(name: string, content: string | Buffer): string {
  writeFileSync(path.join(directory, name), content, { mode: 0o600 });
  return path.join(directory, name);
}

describe('the certificate that the brokers are shown', () => {
  it('is not watched where there is none, a file that is none, or somebody else who watches it', () => {
    const none = { certificate: '/missing', key: '/missing' };
    kafkaSecurityOptions({ tls: {}, sasl: undefined }, logger);
    kafkaSecurityOptions({ tls: none, sasl: undefined }, logger, true);
    expect(lines).toEqual([]);
    kafkaSecurityOptions({ tls: none, sasl: undefined }, logger);
    expect(lines).toEqual([expect.stringContaining('the certificate for the brokers is not watched: /missing is not')]);
    expect(certificateExpiries()).toEqual({});
  });

  it('is warned of before its end, once, which is a metric', () => {
    lines.length = 0;
    const notAfter = new Date(Date.now() + 10 * DAY_MS);
    const { cert, key } = LocalAuthority.create('services').issue({ subject: 'orders', notAfter });
    const tls = { certificate: file('cert.pem', cert), key: file('key.pem', key) };
    for (let count = 0; count < 3; count++) kafkaSecurityOptions({ tls, sasl: undefined }, logger);
    expect(lines).toEqual([expect.stringContaining('the certificate of kafka ends in 10 days')]);
    expect(Math.round(certificateExpiries()['kafka']! / 86_400)).toBe(10);
  });
});
