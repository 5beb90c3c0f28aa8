import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const PROGRAM = path.resolve(import.meta.dirname, '../../../dist/apps/cli/src/main.js');

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'concordat-token-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function concordat(words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const { PATH = '' } = process.env;
  const env = { PATH, ...environment };
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...words], { encoding: 'utf8', env });
  return { status, stdout, stderr };
}

/** A coordinator that others can reach; each of these ends before it listens. */
const OPEN = {
  CONCORDAT_NODE_ID: '1',
  CONCORDAT_PEERS: '1=127.0.0.1:1/0.0.0.0:1',
  CONCORDAT_LINK: 'direct',
};

describe('concordat token create', () => {
  it('prints a token once, and the line by which coordinators know it', () => {
    const { status, stdout } = concordat(['token', 'create', '--role', 'client', '--name', 'orders']);
    expect(status).toBe(0);
    expect(stdout.match(/^cct_[\w-]{43}$/gm)).toHaveLength(1);
    expect(stdout).toMatch(/^sha256:[0-9a-f]{64} orders client$/m);
  });

  it('refuses a role that is none', () => {
    const { status, stdout, stderr } = concordat(['token', 'create', '--role', 'root']);
    expect([status, stdout]).toEqual([64, '']);
    expect(stderr).toContain('there is no role "root"; there are: client, observer, operator');
  });
});

describe('concordat server', () => {
  const data = (): string => path.join(directory, 'data');

  it('does not start where others reach it and nobody is asked who he is', () => {
    const { status, stderr } = concordat(['server'], { ...OPEN, CONCORDAT_DATA_DIR: data() });
    expect(status).toBe(78);
    expect(stderr).toContain('CONCORDAT_AUTH is not set; it must be "none" to let everybody in who reaches 0.0.0.0:1');
  });

  it('does not start where others reach the links between coordinators, and only REST asks who is there', () => {
    const tokens = path.join(directory, 'right-tokens');
    writeFileSync(tokens, '', { mode: 0o600 });
    const variables = { ...OPEN, CONCORDAT_DATA_DIR: data(), CONCORDAT_AUTH_TOKEN_FILE: tokens };
    const { status, stderr } = concordat(['server'], { ...variables, CONCORDAT_PEERS: '1=0.0.0.0:1/127.0.0.1:1' });
    expect(status).toBe(78);
    expect(stderr).toContain(
      'CONCORDAT_PLAIN_LINKS is not set; it must be "accept" to believe anyone who reaches 0.0.0.0:1',
    );
    expect(stderr).toContain('or set CONCORDAT_RAFT_TLS_CA');
  });

  it('does not start with tokens that others may read', () => {
    const tokens = path.join(directory, 'tokens');
    writeFileSync(tokens, '', { mode: 0o644 });
    const variables = { ...OPEN, CONCORDAT_DATA_DIR: data(), CONCORDAT_AUTH_TOKEN_FILE: tokens };
    const { status, stderr } = concordat(['server'], variables);
    expect(status).toBe(78);
    expect(stderr).toContain('its mode is 0644, and 0600 would be right (chmod 0600)');
  });
});
