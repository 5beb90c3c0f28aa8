import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { DRAWN_FOLDERS, drawFolder } from '../architecture/folder-drawing.js';
import { checkImports, cyclesIn, unusedPermissions } from '../architecture/import-check.js';
import { importsIn, publicNames, readImports } from '../architecture/import-graph.js';
import { IMPORT_TABLE, isTestCode, layerOf, TEST_FOLDERS } from '../architecture/import-table.js';
import { withLayerTable } from '../architecture/layer-table.js';
import { IMPORT_CASES } from './import-cases.js';

const root = path.resolve(import.meta.dirname, '../..');
const oxlint = path.join(root, 'node_modules', 'oxlint', 'bin', 'oxlint');

interface Finding {
  readonly code: string;
  readonly filename: string;
  readonly message: string;
  readonly help?: string;
}

/** `[file, line of code, part of the sentence or rule that must be reported, or undefined for "is allowed"]` */
type Case = readonly [file: string, code: string, expected: string | undefined];

const PURITY_CASES: readonly Case[] = [
  ...['Date', 'process', 'performance', 'crypto', 'fetch', 'console', 'globalThis'].map((name): Case => [
    `libs/raft/src/core/pure-${name}.ts`,
    `export const used = ${name};\n`,
    'the pure cores have no',
  ]),
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'].map((name): Case => [
    `libs/commit-protocol/src/pure-${name}.ts`,
    `export const used = ${name};\n`,
    'the pure cores have',
  ]),
  ['libs/raft/src/core/random.ts', 'export const used = Math.random();\n', 'an injected seeded source'],
  ['libs/commit-protocol/src/random.ts', 'export const used = Math.random();\n', 'an injected seeded source'],
  ['libs/raft/src/driver/random.ts', 'export const used = Math.random();\n', undefined],
];

const STRICT_CASES: readonly Case[] = [
  ['libs/foundation/src/any.ts', 'export const used = (value: any): unknown => value;\n', 'no-explicit-any'],
  ['libs/foundation/src/type.ts', "import { T } from './x.js';\nexport type U = T;\n", 'consistent-type-imports'],
  [
    'libs/foundation/src/floating.ts',
    'export function f(): void {\n  Promise.resolve(1).then(() => 2);\n}\n',
    'no-floating-promises',
  ],
  [
    'libs/foundation/src/switch.ts',
    "export function f(x: 'a' | 'b'): number {\n  switch (x) {\n    case 'a':\n      return 1;\n  }\n  return 0;\n}\n",
    'switch-exhaustiveness-check',
  ],
  ['libs/foundation/src/disabled.ts', '// oxlint-disable-next-line no-debugger\nexport const used = 1;\n', 'Unused'],
];

const CASES = [...PURITY_CASES, ...STRICT_CASES];

describe('the table of who may import whom', () => {
  const names = publicNames(root);
  const check = (file: string, text: string): string[] =>
    checkImports([], importsIn(file, text, names), names).map(({ message }) => message);

  it.each(IMPORT_CASES)('%s imports %s: %s', (file, specifier, expected) => {
    const found = check(file, `import type { thing } from '${specifier}';\n`);
    if (expected === undefined) expect(found).toEqual([]);
    else expect(found.join('\n')).toContain(expected);
  });

  it.each([
    ['refused', true],
    ['allowed', false],
  ])('has for every row a case that is %s', (_, isRefused) => {
    const cases = IMPORT_CASES.filter(
      ([file, , expected]) => !isTestCode(file) && (expected !== undefined) === isRefused,
    );
    const rows = new Set(cases.map(([file]) => layerOf(file)?.name));
    expect(IMPORT_TABLE.map(({ name }) => name).filter((name) => !rows.has(name))).toEqual([]);
  });

  it.each([
    "import 'node:fs';",
    "import fs from 'node:fs';",
    "import type { Stats } from 'node:fs';",
    "export * from 'node:fs';",
    "export type { Stats } from 'node:fs';",
    "const fs = await import('node:fs');",
    "type Stats = import('node:fs').Stats;",
    "import fs = require('node:fs');",
  ])('sees the import in: %s', (text) => {
    expect(check('libs/raft/src/core/a.ts', `${text}\n`)).toHaveLength(1);
  });

  it('finds circles, also those of types', () => {
    const files = ['a', 'b', 'c', 'd'].map((name) => `libs/foundation/src/${name}.ts`);
    const [a = '', b = '', c = ''] = files;
    const open = [
      ...importsIn(a, "import type { b } from './b.js';\n", names),
      ...importsIn(b, "import { c } from './c.js';\nimport './d.js';\n", names),
    ];
    expect(cyclesIn(files, open)).toEqual([]);
    const closed = [...open, ...importsIn(c, "import type { a } from './a.js';\n", names)];
    expect(checkImports(files, closed, names).map(({ file }) => file)).toEqual([a, b, c]);
  });

  it('finds files without a row', () => {
    expect(checkImports(['libs/stray/src/a.ts', 'libs/stray/src/a.spec.ts'], [], names)).toEqual([
      { file: 'libs/stray/src/a.ts', message: expect.stringContaining('belongs to no layer') },
    ]);
  });

  describe('and the sources', () => {
    const { files, imports } = readImports(root);

    it('agree', () => {
      expect(imports.length).toBeGreaterThan(3000);
      expect(checkImports(files, imports, names)).toEqual([]);
    });

    it('need every permission', () => {
      expect(unusedPermissions(imports)).toEqual([]);
      const roomy = IMPORT_TABLE.map((layer) => ({ ...layer, packages: [...layer.packages, 'left-pad'] }));
      expect(unusedPermissions(imports, roomy)).toHaveLength(IMPORT_TABLE.length);
    });

    it('have all folders and files that the table names', () => {
      const places = [...IMPORT_TABLE.flatMap(({ at }) => at), ...TEST_FOLDERS];
      expect(places.filter((place) => !files.some((file) => file.startsWith(place)))).toEqual([]);
    });
  });

  it.each(Object.entries(DRAWN_FOLDERS))('is up to date in the drawing %s (npm run architecture)', (name, folder) => {
    const { files, imports } = readImports(root);
    expect(readFileSync(path.join(root, 'docs/images', `${name}.svg`), 'utf8')).toBe(
      drawFolder(folder, files, imports),
    );
  });

  it('is what docs/architecture.md shows (npm run architecture)', () => {
    const document = readFileSync(path.join(root, 'docs/architecture.md'), 'utf8');
    expect(document).toBe(withLayerTable(document));
  });
});

describe('the linter enforces architecture.md', () => {
  let folder: string;
  let findings: Map<string, string[]>;

  beforeAll(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'concordat-lint-'));
    symlinkSync(realpathSync(path.join(root, 'node_modules')), path.join(folder, 'node_modules'));
    for (const name of ['.oxlintrc.json', 'tsconfig.json']) {
      writeFileSync(path.join(folder, name), readFileSync(path.join(root, name)));
    }
    for (const [file, code] of CASES) {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), code);
    }
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [oxlint, '--type-aware', '--format', 'json', 'apps', 'libs', 'test'],
      { cwd: folder, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
    );
    if (!stdout.trimStart().startsWith('{')) throw new Error(`oxlint did not report: ${stdout}${stderr}`);
    const report = JSON.parse(stdout) as { diagnostics: Finding[] };
    findings = new Map(CASES.map(([file]) => [file, []]));
    for (const { filename, code, message, help } of report.diagnostics) {
      findings.get(filename.split(path.sep).join('/'))?.push(`${code}: ${message} ${help ?? ''}`);
    }
  }, 60_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(CASES)('%s', (file, _code, expected) => {
    const found = findings.get(file) ?? [];
    if (expected === undefined) expect(found).toEqual([]);
    else expect(found.join('\n')).toContain(expected);
  });
});

describe('the pure cores', () => {
  const folders = ['libs/raft/src/core', 'libs/commit-protocol/src'].map((name) => path.join(root, name));
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('spec.ts'))
      .map((name) => path.join(folder, name)),
  );

  it.each(files.map((file) => path.relative(root, file)))('%s awaits nothing', (file) => {
    const source = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
    const waits: number[] = [];
    const visit = (node: ts.Node): void => {
      if (node.kind === ts.SyntaxKind.AwaitExpression || node.kind === ts.SyntaxKind.AsyncKeyword) {
        waits.push(source.getLineAndCharacterOfPosition(node.getStart()).line + 1);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    expect(waits).toEqual([]);
  });
});
