import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { exclusively, tryLock } from './file-lock.js';
import { startPart, type Part } from './part.js';
import { isAlive } from './process-table.js';
import { SystemFile, type ProcessRecord, type SystemState } from './system-file.js';
import { waitUntil } from './wait.js';

let directory: string;
let file: SystemFile;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'concordat-system-file-'));
  file = new SystemFile(directory);
  file.write(stateWith());
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const record = (name: ProcessRecord['name'], pid = 1): ProcessRecord => ({
  name,
  role: 'participant',
  pid,
  ports: {},
  logFile: path.join(directory, `${name}.log`),
  marker: name,
});

function stateWith(...processes: ProcessRecord[]): SystemState {
  return {
    clusterName: 'local',
    topicPrefix: 'concordat',
    link: 'kafka',
    startedAt: '2026-01-01T00:00:00.000Z',
    supervisorPid: process.pid,
    portOffset: 0,
    kafkaBrokers: '',
    isSecure: false,
    ready: true,
    processes,
  };
}

const names = (): readonly string[] => file.read()!.processes.map(({ name }) => name);

/** A service whose process runs until somebody ends it; its own program says when it lives. */
const orders = (): Part => ({
  ...record('orders'),
  readyTimeoutMs: 1_000,
  prepare: async () => ({ file: process.execPath, args: ['-e', 'setInterval(() => undefined, 1000)'] }),
  isReady: async () => true,
});

describe('a part that is restarted while the system is being ended', () => {
  it('is among what is ended when it was recorded before', () => {
    file.record(record('orders', 4711));
    expect(file.markEnding()).toEqual([record('orders', 4711)]);
  });

  it.each([
    ['is being ended', () => void file.markEnding()],
    ['has ended', () => rmSync(file.path)],
  ])('does not stay alive when the system %s', async (_when, end) => {
    let pid = 0;
    const restarted = startPart(
      orders(),
      (started) => {
        pid = started.pid;
        end();
        file.record(started);
      },
      new AbortController().signal,
    );
    await expect(restarted).rejects.toThrow('The local system was ended meanwhile, so orders was not started.');
    expect(await waitUntil(() => !isAlive(pid), { timeoutMs: 5_000, pollMs: 10 })).toBe(true);
  });
});

describe('a part that leaves', () => {
  it('has its record until it has ended, so that a stop in between ends it', () => {
    file.record(record('orders'));
    file.markLeaving('orders');
    expect(file.read()!.processes).toEqual([{ ...record('orders'), leaving: true }]);
    file.forget('orders');
    expect(names()).toEqual([]);
  });
});

describe('changes by several processes', () => {
  it('wait for one another, and none is lost', async () => {
    // another process reads, and writes what it has read and changed only when this one has begun to change
    const lock = `${file.path}.lock`;
    const other = `
      const { writeFileSync, rmSync, linkSync } = require('node:fs');
      writeFileSync('${lock}.other', String(process.pid));
      linkSync('${lock}.other', '${lock}');
      process.stdout.write('locked');
      setTimeout(() => {
        writeFileSync('${file.path}', ${JSON.stringify(JSON.stringify(stateWith(record('inventory'))))});
        rmSync('${lock}');
      }, 100);`;
    const child = spawn(process.execPath, ['-e', other], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    file.record(record('orders'));
    expect(names()).toEqual(['inventory', 'orders']);
    expect(existsSync(lock)).toBe(false);
  });

  it('do not wait for a process that has died with the lock', () => {
    const { pid } = spawnSync('true');
    writeFileSync(`${file.path}.lock`, String(pid));
    file.record(record('orders'));
    expect(names()).toEqual(['orders']);
  });

  it('give the lock back when one fails', () => {
    const lock = path.join(directory, 'lock');
    expect(() =>
      exclusively(lock, () => {
        throw new Error('no space');
      }),
    ).toThrow('no space');
    expect(existsSync(lock)).toBe(false);
  });
});

describe('a lock', () => {
  it('names its holder to the second one, and can be taken when it was given back', () => {
    const lock = path.join(directory, 'lock');
    const first = tryLock(lock, () => true);
    expect(tryLock(lock, () => true)).toBe(process.pid);
    (first as () => void)();
    expect(tryLock(lock, () => true)).toBeInstanceOf(Function);
  });
});
