import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemProcessTable } from './process-table.js';

/** compiled by the build, as all programs that tests start */
const program = resolve(import.meta.dirname, '../../../../dist/libs/raft/src/testing/directory-holder.js');
/** a container as far as processes and networks go: the program is number 1 in it */
const container = ['unshare', '--pid', '--net', '--fork', '--mount-proc', '--kill-child=SIGKILL'];
const mayUnshare = spawnSync(container[0]!, [...container.slice(1), 'true']).status === 0;

describe('a directory and the processes that want it', () => {
  let root: string;
  let directory: string;
  let children: ChildProcess[];

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'raft-lock-'));
    directory = join(root, 'node-1');
    children = [];
  });

  afterEach(async () => {
    for (const child of children) await kill(child);
    rmSync(root, { recursive: true, force: true });
  });

  async function kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** @returns the process, and what it says: `open` or the code of an error */
  async function start(prefix: readonly string[] = []): Promise<{ child: ChildProcess; said: string }> {
    const [command, ...args] = [...prefix, process.execPath, program, directory];
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    const said = await new Promise<string>((found) => {
      const lines = createInterface({ input: child.stdout });
      lines.once('line', found).once('close', () => found('ended without a word'));
    });
    return { child, said };
  }

  async function waitUntil(isSo: () => boolean): Promise<void> {
    while (!isSo()) await sleep(5);
  }

  function files(): string[] {
    return readdirSync(directory).filter((name) => name.startsWith('lock'));
  }

  it('belongs to one process until that one ends, in whatever way', async () => {
    const first = await start();
    expect([first.said, (await start()).said]).toEqual(['open', 'STORAGE_LOCKED']);
    await kill(first.child);
    const second = await start();
    expect(second.said).toBe('open');
    const exited = once(second.child, 'exit');
    second.child.stdin!.end();
    await exited;
    expect(files()).toEqual([]);
  });

  it('is not given away because its process is stopped', async () => {
    const first = await start();
    first.child.kill('SIGSTOP');
    expect((await start()).said).toBe('STORAGE_LOCKED');
  });

  it('does not stay with a zombie', async () => {
    // The shell becomes a program that never fetches the exit code of its child.
    const [said, pid] = await new Promise<[string, number]>((found) => {
      const line = `"${process.execPath}" "${program}" "${directory}" < /dev/zero & echo $!; exec sleep 600`;
      const parent = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'inherit'] });
      children.push(parent);
      const words: string[] = [];
      createInterface({ input: parent.stdout }).on('line', (word) => {
        words.push(word);
        if (words.length === 2) found([words.find((text) => !/^\d+$/.test(text))!, Number(words.find(Number))]);
      });
    });
    expect(said).toBe('open');
    process.kill(pid, 'SIGKILL');
    process.kill(pid, 0); // it is there still
    if (process.platform === 'linux') await waitUntil(() => readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '));
    expect(systemProcessTable.identify(pid)).toBe(process.platform === 'linux' ? undefined : expect.any(String));
    expect((await start()).said).toBe('open');
  });

  it('is kept apart between containers, in each of which its process is number 1', async () => {
    if (!mayUnshare) {
      process.stdout.write(
        'This user may not make namespaces, so two containers are not tried out here; the table in ' +
          'directory-lock.spec.ts shows what is decided by.\n',
      );
      return expect(readFileSync(join(import.meta.dirname, 'directory-lock.spec.ts'), 'utf8')).toContain(
        'between containers, in each of which the process is number 1',
      );
    }
    const first = await start(container);
    expect(first.said).toBe('open');
    expect(JSON.parse(readFileSync(join(directory, 'lock'), 'utf8'))).toMatchObject({ pid: 1 });
    expect([(await start(container)).said, (await start()).said]).toEqual(['STORAGE_LOCKED', 'STORAGE_LOCKED']);
    await kill(first.child);
    expect((await start(container)).said).toBe('open');
  });

  it('is given to exactly one of many that come at once, also over the remains of a dead one', async () => {
    await kill((await start()).child);
    expect(files()).toHaveLength(2);
    const starts = await Promise.all(Array.from({ length: 6 }, () => start(mayUnshare ? container : [])));
    expect(starts.map(({ said }) => said).sort()).toEqual([...new Array<string>(5).fill('STORAGE_LOCKED'), 'open']);
    expect(files()).toHaveLength(2);
  });

  it('may lie deeper than a socket may be called', async () => {
    directory = join(root, 'x'.repeat(120), 'node-1');
    mkdirSync(directory, { recursive: true });
    const { child, said } = await start();
    expect([said, (await start()).said]).toEqual(['open', 'STORAGE_LOCKED']);
    await kill(child);
    expect((await start()).said).toBe('open');
  });

  it('is kept by the table of processes where its process has no socket, as those of earlier versions', async () => {
    const { child } = await start();
    const { claim, ...holder } = JSON.parse(readFileSync(join(directory, 'lock'), 'utf8')) as { claim: string };
    unlinkSync(join(directory, claim));
    writeFileSync(join(directory, 'lock'), JSON.stringify(holder));
    expect((await start()).said).toBe('STORAGE_LOCKED');
    await kill(child);
    expect((await start()).said).toBe('open');
  });
});
