import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { IS_NIGHTLY } from '../support/nightly.js';
import { waitFor } from '../support/wait-for.js';
import { isFree, pack } from './application.js';
import { sectionOf, stepsOf } from './guide.js';
import { GuideRun } from './guide-run.js';

jest.setTimeout(600_000);

/** of the services, the coordinator and PostgreSQL, as the guide names them */
const PORTS = [3_001, 3_002, 7_081, 8_081, 9_081, 5_450];
const ROOT = path.resolve(import.meta.dirname, '../..');
const GUIDE = readFileSync(path.join(ROOT, 'docs/guides/quick-start.md'), 'utf8');
const NEW_PROJECT = sectionOf(GUIDE, '## A new project');
const OF_NEST_NEW = sectionOf(GUIDE, '### Or a project of `nest new`');
const NEST = path.join(ROOT, 'node_modules/@nestjs/cli/bin/nest.js');
const SCHEMATICS = path.join(ROOT, 'node_modules/@angular-devkit/schematics-cli/bin/schematics.js');
/** What `nest new` installs and no step of the guide uses, such as linters: most of the time of an installation. */
const UNUSED = [
  '@nestjs/mau',
  '@nestjs/testing',
  '@types/supertest',
  '@vitest/coverage-v8',
  'oxlint',
  'oxlint-tsgolint',
  'prettier',
  'source-map-support',
  'supertest',
  'vite-tsconfig-paths',
];

beforeAll(async () => {
  const free = await Promise.all(PORTS.map(isFree));
  expect(PORTS.filter((_, place) => !free[place])).toEqual([]); // taken: by "npm start", say, which must be stopped
  pack();
});

async function endsWithAll(run: GuideRun): Promise<void> {
  await run.end();
  const all = (): Promise<readonly boolean[]> => Promise.all(PORTS.map(isFree));
  await waitFor('nobody listens any more', async () => !(await all()).includes(false));
}

describe('the quick start, in an empty folder with Node and npm', () => {
  let run: GuideRun;

  beforeAll(() => void (run = new GuideRun()));

  afterAll(async () => {
    await run?.end();
    run?.remove();
  });

  it('works word for word, and prints what it says', async () => {
    const steps = stepsOf(GUIDE.replace(OF_NEST_NEW, ''));
    expect(new Set(steps.map(({ kind }) => kind))).toEqual(new Set(['command', 'file', 'service']));
    for (const step of steps) await run.follow(step);
  });

  it('ends with Ctrl-C, and nothing goes on', () => endsWithAll(run));
});

describe('the quick start, in a project of nest new', () => {
  const runs: GuideRun[] = [];
  const steps = [...stepsOf(OF_NEST_NEW), ...stepsOf(GUIDE.replace(NEW_PROJECT, ''))];
  const trim = `(cd shop && npm pkg delete ${UNUSED.map((name) => `devDependencies.${name}`).join(' ')})`;

  afterAll(async () => {
    for (const run of runs) await run.end();
    for (const run of runs) run.remove();
  });

  async function follow(run: GuideRun): Promise<void> {
    runs.push(run);
    for (const step of steps) await run.follow(step);
    await endsWithAll(run);
  }

  it('works as ES modules, as the CLI makes it where nobody is asked', async () => {
    const make = `"${process.execPath}" "${NEST}" new shop --skip-git --skip-install --package-manager npm`;
    // the types of Jest are for the next test, which uses the same packages
    const types = '(cd shop && npm pkg set devDependencies.@types/jest=^30.0.0)';
    const run = new GuideRun({ insteadOf: { 'npx @nestjs/cli new shop': [make, trim, types].join('\n') } });
    await follow(run);
    expect(JSON.parse(readFileSync(path.join(run.place, 'package.json'), 'utf8'))).toHaveProperty('type', 'module');
  });

  const asCommonJs = async (): Promise<void> => {
    const folder = runs[0]!.place;
    const words = '@nestjs/schematics:application --name=shop --type=cjs --package-manager=npm';
    const make = `"${process.execPath}" "${SCHEMATICS}" ${words}`; // as the CLI does, when CommonJS is chosen
    const installs = OF_NEST_NEW.split('\n').filter((line) => line.startsWith('npm install '));
    expect(installs).toHaveLength(2);
    const insteadOf = {
      'npx @nestjs/cli new shop': make,
      ...Object.fromEntries(installs.map((line) => [line, ':'])), // they are in the folder above
    };
    const run = new GuideRun({ folder, insteadOf });
    await follow(run);
    expect(JSON.parse(readFileSync(path.join(run.place, 'package.json'), 'utf8'))).not.toHaveProperty('type');
  };

  // by day packages.e2e-spec.ts alone builds and runs applications as CommonJS
  if (IS_NIGHTLY) it('works as CommonJS', asCommonJs);
});
