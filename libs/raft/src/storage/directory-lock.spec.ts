import { describe, expect, it } from '@jest/globals';
import { DirectoryLock } from './directory-lock.js';
import { MemoryFileSystem } from './memory-file-system.js';
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
    const first = new DirectoryLock('/data', fileSystem, processTable(10, living));
    const second = new DirectoryLock('/data', view, processTable(11, living));
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
      const lock = new DirectoryLock('/data', fileSystem, processTable(11, { 11: 'eleven', 12: 'twelve' }));
      await lock.acquire();
      expect((await fileSystem.readFile('/data/lock')).toString()).toBe('{"pid":11,"identity":"eleven"}');
      expect(fileSystem.paths()).toEqual(['/data/lock']);
    }
  });

  it('admits one of two openings at once', async () => {
    const fileSystem = new MemoryFileSystem();
    const table = processTable(10, { 10: 'ten' });
    const locks = [1, 2].map(() => new DirectoryLock('/data', fileSystem, table));
    const results = await Promise.allSettled(locks.map((lock) => lock.acquire()));
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
  });
});

describe('systemProcessTable', () => {
  it('knows this process, always by the same name, and no dead one', () => {
    const own = systemProcessTable.identify(process.pid);
    expect(own).toBeDefined();
    expect(systemProcessTable.identify(process.pid)).toBe(own);
    expect(systemProcessTable.identify(process.ppid)).not.toBe(own);
    expect(systemProcessTable.identify(0x3fff_ffff)).toBeUndefined();
  });
});
