import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { waitFor } from '../support/wait-for.js';
import { isFree, pack } from './application.js';
import { stepsOf } from './guide.js';
import { GuideRun } from './guide-run.js';

jest.setTimeout(600_000);

/** of the services, the coordinator and PostgreSQL, as the guide names them */
const PORTS = [3_001, 3_002, 7_081, 8_081, 9_081, 5_450];
const GUIDE = path.resolve(import.meta.dirname, '../../docs/guides/quick-start.md');

describe('the quick start, in an empty folder with Node and npm', () => {
  let run: GuideRun;

  beforeAll(async () => {
    const free = await Promise.all(PORTS.map(isFree));
    expect(PORTS.filter((_, place) => !free[place])).toEqual([]); // taken: by "npm start", say, which must be stopped
    pack();
    run = new GuideRun();
  });

  afterAll(async () => {
    await run?.end();
    run?.remove();
  });

  it('works word for word, and prints what it says', async () => {
    const steps = stepsOf(readFileSync(GUIDE, 'utf8'));
    expect(new Set(steps.map(({ kind }) => kind))).toEqual(new Set(['command', 'file', 'service']));
    for (const step of steps) await run.follow(step);
  });

  it('ends with Ctrl-C, and nothing goes on', async () => {
    await run.end();
    const all = (): Promise<readonly boolean[]> => Promise.all(PORTS.map(isFree));
    await waitFor('nobody listens any more', async () => !(await all()).includes(false));
  });
});
