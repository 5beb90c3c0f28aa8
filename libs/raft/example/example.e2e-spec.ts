import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePorts } from '../src/testing/free-ports.js';

/** compiled by the build, as everything that is run */
const folder = resolve(import.meta.dirname, '../../../dist/libs/raft/example');
const patienceMs = 30_000;

/** Looks again every few milliseconds. */
async function until<T>(look: () => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** One more than it are 14 free ports in a row. */
async function freeBasePort(): Promise<number> {
  return until(async () => {
    const ports = await freePorts(14);
    const [first = 0] = ports;
    return ports.at(-1) === first + 13 ? first - 1 : undefined;
  }, 'there are free ports in a row');
}

describe('the replicated key-value store of the example', () => {
  let directory: string;
  let basePort: number;
  let main: ChildProcess | undefined;
  let output = '';

  function start(): void {
    output = '';
    const options = ['--data', directory, '--base-port', String(basePort)];
    const child = spawn(process.execPath, [join(folder, 'main.js'), ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    main = child;
  }

  /** @returns the exit code */
  async function interrupt(): Promise<number> {
    main?.kill('SIGINT');
    return until(() => main?.exitCode ?? undefined, 'the example has ended');
  }

  const urlOf = (nodeId: number, path: string): string => `http://127.0.0.1:${basePort + nodeId}${path}`;

  /** The answer's text as soon as the node answers with this status. */
  const request = (nodeId: number, path: string, init: RequestInit = {}, status = 200): Promise<string> =>
    until(async () => {
      const response = await fetch(urlOf(nodeId, path), init).catch(() => undefined);
      return response?.status === status ? response.text() : undefined;
    }, `node ${nodeId} answers ${path} with ${status}\n${output}`);

  const pidOf = (nodeId: number): number =>
    Number([...output.matchAll(new RegExp(`node ${nodeId}: ready at .*, process (\\d+)`, 'g'))].at(-1)?.[1]);

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'concordat-raft-example-'));
    basePort = await freeBasePort();
    start();
  });

  afterAll(async () => {
    if (main && main.exitCode === null) await interrupt();
    await rm(directory, { recursive: true, force: true });
  });

  it('stores at any node, reads at any node, and survives a kill and a restart', async () => {
    for (const nodeId of [1, 2, 3])
      await request(nodeId, `/keys/from-${nodeId}`, { method: 'PUT', body: `value ${nodeId}` });
    for (const nodeId of [1, 2, 3]) expect(await request(nodeId, '/keys/from-2')).toBe('value 2\n');
    await request(1, '/keys/from-3', { method: 'DELETE' });
    expect(await request(2, '/keys/from-3', {}, 404)).toBe('there is no key "from-3"\n');

    const { leaderId } = JSON.parse(await request(1, '/status')) as { leaderId: number };
    const other = (leaderId % 3) + 1;
    const redirect = await fetch(urlOf(other, '/keys/x'), { method: 'PUT', body: 'x', redirect: 'manual' });
    expect([redirect.status, redirect.headers.get('location')]).toEqual([307, urlOf(leaderId, '/keys/x')]);

    const killed = pidOf(leaderId);
    process.kill(killed, 'SIGKILL');
    await request(other, '/keys/after', { method: 'PUT', body: 'the kill' });
    await until(() => (pidOf(leaderId) === killed ? undefined : true), 'the killed node is started again');
    expect(await request(leaderId, '/keys/after')).toBe('the kill\n');

    expect(await interrupt()).toBe(0);
    start();
    for (const nodeId of [1, 2, 3]) {
      expect(await request(nodeId, '/keys/after')).toBe('the kill\n');
      expect(await request(nodeId, '/keys/from-1')).toBe('value 1\n');
    }
  }, 120_000);

  it('says why it cannot start a second time beside itself, and leaves the first alone', async () => {
    await request(1, '/keys/from-1');
    const second = spawnSync(process.execPath, [join(folder, 'main.js'), '--data', directory, '--base-port', '23100'], {
      encoding: 'utf8',
      timeout: patienceMs,
    });
    expect([second.status, second.stderr]).toEqual([1, expect.stringContaining('is in use by process')]);
    expect(await request(1, '/keys/from-1')).toBe('value 1\n');
  }, 60_000);

  it.each([
    { program: 'main.js', bad: ['--base-port', 'high'] },
    { program: 'kv-node.js', bad: ['--id', '1', '--data', 'x', '--member', '1,nowhere'] },
  ])('$program has help, and names what is wrong with its options', ({ program, bad }) => {
    const run = (options: readonly string[]) =>
      spawnSync(process.execPath, [join(folder, program), ...options], { encoding: 'utf8', timeout: patienceMs });
    const help = run(['--help']);
    expect([help.status, help.stdout]).toEqual([0, expect.stringContaining('--help')]);
    for (const options of [bad, ['--unknown']]) {
      const refused = run(options);
      expect([refused.status, refused.stderr.split('\n').length]).toEqual([2, 2]);
    }
  });
});
