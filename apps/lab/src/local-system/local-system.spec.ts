import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { contextOf, prepareSecurity, removeData } from './local-system.js';
import { httpUrl, PART_NAMES } from './ports.js';
import { databaseUrl, serverAt, shownUrl } from './postgres-server.js';
import { LocalSecurity } from './security/local-security.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'concordat-mode-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function contextWith(isSecure: boolean | undefined) {
  return contextOf({ directory, portOffset: 0, only: PART_NAMES, link: 'direct', isSecure }, () => undefined);
}

describe('a start in another mode than the data', () => {
  it('refuses to secure what was started in plain text, and says what to do', () => {
    mkdirSync(path.join(directory, 'coordinator-1'));
    expect(() => prepareSecurity(contextWith(true))).toThrow('Start it without --secure');
    expect(LocalSecurity.isIn(directory)).toBe(false);
    expect(() => prepareSecurity(contextWith(undefined))).not.toThrow();
  });

  it('refuses plain text for what was secured, until the data is forgotten', () => {
    prepareSecurity(contextWith(true));
    mkdirSync(path.join(directory, 'coordinator-1'));
    expect(() => prepareSecurity(contextWith(true))).not.toThrow();
    expect(() => prepareSecurity(contextWith(undefined))).toThrow('Start it with --secure');
    removeData(directory);
    expect(() => prepareSecurity(contextWith(undefined))).not.toThrow();
  });
});

describe('the addresses of a secured system', () => {
  it('have https at the coordinators, and passwords that are not shown', () => {
    const context = contextWith(true);
    prepareSecurity(context);
    expect([httpUrl(context, 'coordinator-2'), httpUrl(context, 'bank-a')]).toEqual([
      'https://127.0.0.1:8082',
      'http://127.0.0.1:8091',
    ]);
    const url = databaseUrl(serverAt(context, 5433), 'bank_a');
    expect(url).toMatch(/^postgres:\/\/bank_a:[\w-]{32}@127\.0\.0\.1:5433\/bank_a\?sslmode=verify-full&sslrootcert=/);
    expect(shownUrl(url)).toBe('postgres://bank_a:***@127.0.0.1:5433/bank_a');
  });

  it('are as before without security', () => {
    const context = contextWith(undefined);
    expect(httpUrl(context, 'coordinator-2')).toBe('http://127.0.0.1:8082');
    expect(databaseUrl(serverAt(context, 5433), 'bank_a')).toBe('postgres://bank_a:bank_a@127.0.0.1:5433/bank_a');
  });
});
