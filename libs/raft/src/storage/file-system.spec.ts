import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeFileSystem, whenFilesAllow } from './file-system.js';

describe("the machine's files", () => {
  let directory: string;
  let path: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'concordat-files-'));
    path = join(directory, 'file');
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  it.each(['write', 'writeDurably'] as const)('%s puts all bytes where they belong', async (method) => {
    await writeFile(path, Buffer.alloc(10, 1));
    const file = await nodeFileSystem.open(path, 'update');
    await file[method](Buffer.from('abc'), 4);
    await file[method](new Uint8Array(0), 0);
    await file.close();
    expect(await readFile(path)).toEqual(Buffer.concat([Buffer.alloc(4, 1), Buffer.from('abc'), Buffer.alloc(3, 1)]));
  });

  it('closes a file when everything that was to be written is, however often it is asked', async () => {
    const file = await nodeFileSystem.open(path, 'create');
    const pieceBytes = 1024 * 1024;
    const writes = Array.from({ length: 8 }, (_, at) => file.write(Buffer.alloc(pieceBytes, at + 1), at * pieceBytes));
    await Promise.all([file.close(), file.close(), ...writes]);
    const content = await readFile(path);
    expect(content.length).toBe(8 * pieceBytes);
    for (let at = 0; at < 8; at++)
      expect(content.subarray(at * pieceBytes, (at + 1) * pieceBytes).equals(Buffer.alloc(pieceBytes, at + 1))).toBe(
        true,
      );
  });

  it('lets nobody but its user read what it makes', async () => {
    const inner = join(directory, 'a', 'b');
    await nodeFileSystem.makeDirectory(inner);
    await (await nodeFileSystem.open(join(inner, 'opened'), 'create')).close();
    await nodeFileSystem.createExclusively(join(inner, 'created'), 'x');
    const modes = ['..', '.', 'opened', 'created'].map(async (name) => (await stat(join(inner, name))).mode & 0o777);
    expect(await Promise.all(modes)).toEqual([0o700, 0o700, 0o600, 0o600]);
  });

  it("rejects with the system's error, and closes all the same", async () => {
    await writeFile(path, 'content');
    const file = await nodeFileSystem.open(path, 'read');
    const write = file.write(Buffer.from('x'), 0);
    const durableWrite = file.writeDurably(Buffer.from('x'), 0);
    const closed = file.close();
    await expect(write).rejects.toMatchObject({ code: 'EBADF', syscall: 'write' });
    await expect(durableWrite).rejects.toMatchObject({ code: 'EBADF' });
    await closed;
    expect(await readFile(path, 'utf8')).toBe('content');
  });

  it('does not write to a closed file', async () => {
    const file = await nodeFileSystem.open(path, 'create');
    await file.close();
    await expect(file.write(Buffer.from('x'), 0)).rejects.toThrow();
  });
});

describe('a file that cannot be opened because too many are open', () => {
  it.each(['EMFILE', 'ENFILE'])('is waited for on %s', async (code) => {
    let attempts = 0;
    const open = async (): Promise<string> => {
      if (++attempts < 3) throw Object.assign(new Error(`${code}: too many open files`), { code });
      return 'open';
    };
    expect(await whenFilesAllow(open)).toBe('open');
    expect(attempts).toBe(3);
  });

  it('is not waited for when something else is wrong', async () => {
    const missing = Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    await expect(whenFilesAllow(() => Promise.reject(missing))).rejects.toBe(missing);
  });
});
