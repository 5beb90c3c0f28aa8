import { describe, expect, it } from '@jest/globals';
import { noClaims, type DirectoryClaims } from './directory-claim.js';
import { DirectoryLock } from './directory-lock.js';
import { MemoryFileSystem } from './testing/memory-file-system.js';
import { systemProcessTable, type ProcessTable } from './process-table.js';

function processTable(ownPid: number, living: Record<number, string>): ProcessTable {
  return { ownPid, identify: (pid) => living[pid] };
}

describe('DirectoryLock', () => {
  it('keeps a second process out until the first lets go', async () => {
    const fileSystem = new MemoryFileSystem();
    const living = { 10: 'ten', 11: 'eleven' };
    // each process has its own view of the directory
    const view = Object.create(fileSystem) as MemoryFileSystem;
    const first = new DirectoryLock('/data', fileSystem, processTable(10, living), noClaims);
    const second = new DirectoryLock('/data', view, processTable(11, living), noClaims);
    await first.acquire();
    await expect(second.acquire()).rejects.toMatchObject({
      code: 'STORAGE_LOCKED',
      message: '/data is in use by process 10; stop that process or use another directory.',
    });
    await first.release();
    await second.acquire();
    await second.release();
    expect(fileSystem.paths()).toEqual([]);
  });

  it('takes over from a dead process, from one whose number was given out again, and from rubbish', async () => {
    for (const content of [
      JSON.stringify({ pid: 10, identity: 'ten' }),
      JSON.stringify({ pid: 12, identity: 'an earlier twelve' }),
      JSON.stringify({ pid: 11, identity: 'an earlier eleven' }),
      JSON.stringify({ pid: 'x' }),
      '{"pid":1',
      '',
    ]) {
      const fileSystem = new MemoryFileSystem();
      await fileSystem.createExclusively('/data/lock', content);
      const lock = new DirectoryLock('/data', fileSystem, processTable(11, { 11: 'eleven', 12: 'twelve' }), noClaims);
      await lock.acquire();
      expect((await fileSystem.readFile('/data/lock')).toString()).toBe('{"pid":11,"identity":"eleven"}');
      expect(fileSystem.paths()).toEqual(['/data/lock']);
    }
  });

  it('admits one of two openings at once', async () => {
    const fileSystem = new MemoryFileSystem();
    const table = processTable(10, { 10: 'ten' });
    const locks = [1, 2].map(() => new DirectoryLock('/data', fileSystem, table, noClaims));
    const results = await Promise.allSettled(locks.map((lock) => lock.acquire()));
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
  });
});

describe('DirectoryLock between containers, in each of which the process is number 1', () => {
  const here: ProcessTable = {
    ownPid: 1,
    identify: (pid) => (pid === 1 ? '1@boot/200/ours' : undefined),
    sees: (identity) => !identity.endsWith('/theirs'),
  };
  const claims: DirectoryClaims = {
    claim: () => Promise.resolve({ name: 'lock.1.sock', withdraw: () => Promise.resolve() }),
    isAlive: () => Promise.resolve(false),
  };

  async function takeFrom(holder: object, by: DirectoryClaims): Promise<string> {
    const fileSystem = new MemoryFileSystem();
    await fileSystem.createExclusively('/data/lock', JSON.stringify(holder));
    const lock = new DirectoryLock('/data', fileSystem, here, by);
    return lock.acquire().then(
      () => 'taken',
      (error: Error) => error.message,
    );
  }

  it.each([
    ['an earlier life in this container', { pid: 1, identity: '1@boot/100/ours' }, 'taken'],
    ['this very process, which did not close', { pid: 1, identity: '1@boot/200/ours' }, 'taken'],
    [
      'a process of another container',
      { pid: 1, identity: '1@boot/100/theirs' },
      '/data was opened by process 1 of another container, and its file system has no sockets to ask it by; ' +
        'if no process uses it, remove /data/lock.',
    ],
  ])('without sockets: %s', async (_who, holder, outcome) => {
    expect(await takeFrom(holder, noClaims)).toBe(outcome);
  });

  it('takes the word of sockets for a process of another container', async () => {
    const holder = { pid: 1, identity: '1@boot/100/theirs', claim: 'lock.0.sock' };
    expect(await takeFrom(holder, claims)).toBe('taken');
    expect(await takeFrom({ ...holder, claim: undefined }, claims)).toContain('remove /data/lock');
  });

  it('gives its claim back when the file says that it must not have the directory', async () => {
    let withdrawn = 0;
    const counted: DirectoryClaims = {
      ...claims,
      claim: () => Promise.resolve({ name: 'lock.1.sock', withdraw: () => Promise.resolve(void withdrawn++) }),
    };
    await takeFrom({ pid: 1, identity: '1@boot/100/theirs' }, counted);
    expect(withdrawn).toBe(1);
  });
});

describe('systemProcessTable', () => {
  it('tells what it can tell of', () => {
    const own = systemProcessTable.identify(process.pid)!;
    const sees = (identity: string): boolean | undefined => systemProcessTable.sees?.(identity);
    expect(sees(own)).toBe(true);
    expect(sees('1@an earlier boot/7/pid:[1]')).toBe(true); // all of that boot are dead
    expect(sees(own.replace(/pid:.*/, 'pid:[1]'))).toBe(process.platform !== 'linux');
  });

  it('knows this process, always by the same name, and no dead one', () => {
    const own = systemProcessTable.identify(process.pid);
    expect(own).toBeDefined();
    expect(systemProcessTable.identify(process.pid)).toBe(own);
    expect(systemProcessTable.identify(process.ppid)).not.toBe(own);
    expect(systemProcessTable.identify(0x3fff_ffff)).toBeUndefined();
  });
});
