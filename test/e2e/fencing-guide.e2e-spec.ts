import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { startTestCoordinator, type TestCoordinator } from '@concordat/testing';
import pg from 'pg';
import { startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { waitFor } from '../support/wait-for.js';

jest.setTimeout(120_000);

const ROOT = path.resolve(import.meta.dirname, '../..');
const GUIDE = readFileSync(path.join(ROOT, 'docs/guides/locks.md'), 'utf8');

function codeOf(language: string): string[] {
  return [...GUIDE.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, code]) => code!);
}

/** The long work of the guide's program: it says that it has begun, and ends when it is told to. */
const SEND_MONEY = `
const sendMoney = () => new Promise((resolve) => {
  console.log('working');
  process.stdin.once('data', () => { process.stdin.destroy(); resolve(); });
});
`;

interface Holder {
  readonly process: ChildProcess;
  readonly output: () => string;
}

describe('the guide on fencing', () => {
  let directory: string;
  let coordinator: TestCoordinator;
  let postgres: TestPostgres;
  let database: pg.Client;

  beforeAll(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'concordat-fencing-'));
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(directory, 'node_modules'));
    const [program] = codeOf('js');
    writeFileSync(path.join(directory, 'pay-invoice.mjs'), `${SEND_MONEY}${program}`);
    [coordinator, postgres] = await Promise.all([startTestCoordinator(), startTestPostgres()]);
    database = new pg.Client(postgres.url);
    await database.connect();
    const [invoice, fence] = codeOf('sql');
    await database.query(invoice!);
    await database.query(fence!);
    await database.query(`insert into invoice (id, state) values ('7', 'open')`);
  });
  afterAll(async () => {
    await database?.end();
    await Promise.all([coordinator?.stop(), postgres?.stop()]);
    rmSync(directory, { recursive: true });
  });

  function hold(owner: string): Holder {
    const program = path.join(directory, 'pay-invoice.mjs');
    const child = spawn(process.execPath, [program, coordinator.url, postgres.url, owner], { stdio: 'pipe' });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    return { process: child, output: () => text };
  }

  async function finish({ process: child, output }: Holder): Promise<string> {
    child.stdin!.write('go on\n');
    await waitFor('the program has ended', () => child.exitCode !== null);
    return output();
  }

  it('lets a holder that was paused past its lease store nothing', async () => {
    const sleeper = hold('sleeper');
    await waitFor('the first holder works', () => sleeper.output().includes('working'));
    sleeper.process.kill('SIGSTOP');
    const next = hold('next'); // waits until the lease of the sleeper has ended
    await waitFor('the second holder works', () => next.output().includes('working'));
    expect(await finish(next)).toContain('stored');
    sleeper.process.kill('SIGCONT');
    expect(await finish(sleeper)).toContain('too late');
    const { rows } = await database.query<{ state: string }>('select state from invoice');
    expect(rows).toEqual([{ state: 'paid by next' }]);
  });

  it('has a fence for work on many rows that lets only higher tokens pass, and equal ones', async () => {
    const [, , pass] = codeOf('sql');
    const passes = async (token: number): Promise<boolean> =>
      (await database.query(pass!, ['invoices', token])).rowCount === 1;
    expect([await passes(5), await passes(5), await passes(9), await passes(8), await passes(10)]).toEqual([
      true,
      true,
      true,
      false,
      true,
    ]);
  });
});
