import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Logger } from '@concordat/foundation';
import { AuditLog, type AuditedCall, type RefusedCredential } from './audit-log.js';

let directory: string;
let path: string;
let elapsed: number;
let lines: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'concordat-audit-'));
  [path, elapsed, lines] = [join(directory, 'audit.jsonl'), 0, []];
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const write = (text: string): void => void lines.push(text);
const logger: Logger = { debug: write, info: write, warn: write, error: write };
const audit = (file: string | undefined = path): AuditLog =>
  new AuditLog({ path: file, logger, now: () => Date.UTC(2026, 0, 1), monotonic: () => elapsed });
const entries = (file = path): Record<string, unknown>[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const call: AuditedCall = {
  principal: 'jwt:ann',
  roles: ['operator'],
  call: 'POST /v1/cluster/leader',
  url: '/v1/cluster/leader',
  address: '10.0.0.7',
  forwardedBy: undefined,
  forwardedFor: undefined,
  status: 200,
};
const refusal: RefusedCredential = {
  reason: 'signature',
  note: 'signature verification failed',
  call: 'GET /v1/locks',
  address: '10.0.0.8',
  forwardedBy: undefined,
  forwardedFor: undefined,
};

describe('the audit', () => {
  it('is a file for its owner alone, and a line in the log', () => {
    const log = audit();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    log.call({ ...call, body: { nodeId: 2 } });
    expect(entries()).toEqual([
      {
        at: '2026-01-01T00:00:00.000Z',
        event: 'call',
        principal: 'jwt:ann',
        roles: ['operator'],
        call: 'POST /v1/cluster/leader',
        url: '/v1/cluster/leader',
        address: '10.0.0.7',
        status: 200,
        body: { nodeId: 2 },
      },
    ]);
    expect(lines).toEqual(['AUDIT jwt:ann: POST /v1/cluster/leader, "/v1/cluster/leader" from 10.0.0.7: 200']);
  });

  it('is in the log only, where no file is set', () => {
    new AuditLog({ path: undefined, logger, now: () => 0, monotonic: () => 0 }).call(call);
    expect(lines).toHaveLength(1);
  });

  it('leaves out what is long, and forges no line', () => {
    const log = audit();
    log.call({ ...call, url: `/v1/\n${'x'.repeat(900)}`, body: { reason: 'x'.repeat(5_000) } });
    log.refused({ ...refusal, note: `a\nALERT forged ${'y'.repeat(900)}` });
    expect(entries()).toHaveLength(2);
    expect(entries()[0]).not.toHaveProperty('body');
    expect(String(entries()[0]!['url'])).toHaveLength(500);
    for (const line of lines) expect([line.includes('\n'), line.length < 700]).toEqual([false, true]);
  });

  it('has ten refused credentials a second, and the number of those between', () => {
    const log = audit();
    for (let count = 0; count < 1_000; count++) log.refused(refusal);
    expect(entries()).toHaveLength(10);
    elapsed = 1_000;
    log.refused(refusal);
    expect(entries().at(-1)).toMatchObject({ event: 'refused-credential', reason: 'signature', suppressed: 990 });
    expect(lines.at(-1)).toContain('990 more since the last such line');
    log.call(call); // is never left out
    expect(entries()).toHaveLength(12);
  });

  it('has a hundred of all senders a second, so that none hides what others try', () => {
    const log = audit();
    for (let count = 0; count < 200; count++) log.refused({ ...refusal, address: '10.0.0.1' });
    log.refused({ ...refusal, address: '10.0.0.2' });
    expect(entries().at(-1)).toMatchObject({ address: '10.0.0.2', suppressed: 190 });
    for (let sender = 3; sender < 250; sender++) log.refused({ ...refusal, address: `10.0.0.${sender}` });
    expect(entries()).toHaveLength(100);
    const node = { event: 'refused-node', what: 'a stream', reason: 'no certificate' } as const;
    for (let port = 1; port < 50; port++) log.attempt({ ...node, address: `10.0.0.9:${port}` });
    expect(entries()).toHaveLength(110);
  });

  it('has what was refused beside REST, each kind within bounds of its own', () => {
    const log = audit();
    for (let count = 0; count < 20; count++) log.refused(refusal);
    log.attempt({ event: 'refused-message', what: 'a message of t', reason: 'UNSIGNED', note: 'no signature' });
    log.attempt({ event: 'refused-node', what: 'a stream of a node', address: '10.0.0.9:1', reason: 'no certificate' });
    expect(entries().slice(10)).toEqual([
      {
        at: '2026-01-01T00:00:00.000Z',
        event: 'refused-message',
        what: 'a message of t',
        reason: 'UNSIGNED',
        note: 'no signature',
      },
      expect.objectContaining({ event: 'refused-node', address: '10.0.0.9:1', reason: 'no certificate' }),
    ]);
    expect(lines.slice(10)).toEqual([
      'AUDIT a message of t is refused: UNSIGNED ("no signature")',
      'AUDIT a stream of a node from 10.0.0.9:1 is refused: no certificate',
    ]);
  });

  it('goes on in a new file when the old one is moved away', () => {
    const log = audit();
    log.call(call);
    renameSync(path, `${path}.1`);
    log.call(call);
    expect([entries().length, entries(`${path}.1`).length]).toEqual([1, 1]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('does not start with a file that others may read, or that cannot be written', () => {
    writeFileSync(path, '');
    chmodSync(path, 0o644);
    expect(() => audit()).toThrow(/CONCORDAT_AUDIT_FILE: .* its mode is 0644, and 0600 would be right/);
    expect(() => audit(directory)).toThrow('EISDIR');
    expect(() => audit(join(directory, 'missing', 'a'))).toThrow('ENOENT');
  });

  it('says in the log when it cannot be written any more', () => {
    const log = audit(join(directory, 'audit'));
    rmSync(directory, { recursive: true });
    log.call(call);
    expect(lines[0]).toMatch(/^the audit cannot be written: .*ENOENT/);
    expect(lines).toHaveLength(2);
  });
});
