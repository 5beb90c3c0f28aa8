import { cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { InstalledApplication, pack } from './application.js';

jest.setTimeout(600_000);

const SOURCES = path.join(import.meta.dirname, 'testing');
const RUNNERS = { '@jest/globals': '30.5.2', jest: '30.5.2', vitest: '5.1.2' };

/** For each runner its file, the test in it, and the command. */
const CASES = [
  [
    'Jest',
    'jest.test.mjs',
    "import { expect, it } from '@jest/globals';\nit('runs', () => scenario((left, right) => expect(left).toBe(right)));\n",
    ['node', '--experimental-vm-modules', 'node_modules/jest/bin/jest.js', '--testMatch', '**/jest.test.mjs'],
  ],
  [
    'Vitest',
    'vitest.test.mjs',
    "import { expect, it } from 'vitest';\nit('runs', () => scenario((left, right) => expect(left).toBe(right)));\n",
    ['node', 'node_modules/vitest/vitest.mjs', 'run', 'vitest.test.mjs'],
  ],
  [
    'node:test',
    'node.test.mjs',
    "import assert from 'node:assert';\nimport { test } from 'node:test';\ntest('runs', () => scenario(assert.strictEqual));\n",
    ['node', '--test', 'node.test.mjs'],
  ],
] as const;

describe('@concordat/testing, installed with npm into an empty folder', () => {
  let application: InstalledApplication;

  beforeAll(() => {
    pack();
    application = InstalledApplication.with({ dependencies: RUNNERS });
    cpSync(SOURCES, application.folder, { recursive: true });
  });

  afterAll(() => application?.remove());

  it.each(CASES)('is used under %s', (_name, file, test, [command, ...words]) => {
    writeFileSync(path.join(application.folder, file), `import { scenario } from './scenario.mjs';\n${test}`);
    const { status, output } = application.run(command, words);
    expect(`${status}\n${output}`).toMatch(/^0\n/); // a runner that does not end would hang: nothing stays open
  });

  it('is loaded by require', () => {
    const { status, output } = application.run('node', ['--test', 'common.cjs']);
    expect(`${status}\n${output}`).toMatch(/^0\n/);
  });
});
