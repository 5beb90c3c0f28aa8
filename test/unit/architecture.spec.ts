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

const use = (specifier: string): string => `import { thing } from '${specifier}';\nexport const used = thing;\n`;

const IMPORT_CASES: readonly Case[] = [
  ['libs/foundation/src/a.ts', use('zod'), 'foundation imports no package'],
  ['libs/foundation/src/b.ts', use('node:crypto'), undefined],
  ['libs/raft/src/core/a.ts', use('node:fs'), 'raft/core imports only foundation'],
  ['libs/raft/src/core/b.ts', use('../storage/wal.js'), 'raft/core does not know the driver'],
  ['libs/raft/src/core/c.ts', use('@concordat/foundation'), undefined],
  ['libs/raft/src/core/d.ts', use('./log.js'), undefined],
  ['libs/raft/src/core/e.ts', use('@grpc/grpc-js'), 'raft/core imports only foundation'],
  ['libs/commit-protocol/src/a.ts', use('@concordat/raft'), 'commit-protocol imports only foundation'],
  ['libs/commit-protocol/src/b.ts', use('zod'), 'commit-protocol imports only foundation'],
  ['libs/commit-protocol/src/c.ts', use('../../raft/src/index.js'), 'never reached by a relative path'],
  ['libs/raft/src/storage/a.ts', use('@grpc/grpc-js'), "raft's driver and storage import only"],
  ['libs/raft/src/driver/a.ts', use('../storage/wal.js'), 'storage and transport only as ports'],
  ['libs/raft/src/driver/b.ts', use('node:fs'), undefined],
  ['libs/raft/src/transport/a.ts', use('@grpc/grpc-js'), undefined],
  ['libs/raft/src/transport/b.ts', use('pg'), "raft's transport imports gRPC"],
  ['libs/messaging/src/a.ts', use('kafkajs'), 'the Kafka client only in kafka/'],
  ['libs/messaging/src/kafka/a.ts', use('kafkajs'), undefined],
  ['libs/messaging/src/b.ts', use('@concordat/raft'), 'messaging imports'],
  ['libs/participant/src/a.ts', use('pg'), 'pg and typeorm only in postgres/'],
  ['libs/participant/src/b.ts', use('@concordat/raft'), 'participant imports messaging'],
  ['libs/participant/src/postgres/a.ts', use('pg'), undefined],
  ['libs/participant/src/c.ts', use('@nestjs/common'), 'no framework'],
  ['libs/nestjs/src/a.ts', use('@nestjs/common'), undefined],
  ['libs/client/src/a.ts', use('@concordat/messaging'), 'client imports only foundation'],
  ['apps/coordinator/src/transactions/a.ts', use('@concordat/raft'), 'no raft, http or Kafka'],
  ['apps/coordinator/src/transactions/b.ts', use('../http/x.js'), 'does not know http or inbound'],
  ['apps/coordinator/src/transactions/c.ts', use('../decision-log/decision-log.js'), undefined],
  ['apps/coordinator/src/transactions/d.ts', use('../decision-log/raft-decision-log.js'), 'only as a port'],
  ['apps/coordinator/src/decision-log/a.ts', use('@concordat/messaging'), 'no messaging or http'],
  ['apps/coordinator/src/decision-log/b.ts', use('@concordat/raft'), undefined],
  ['apps/coordinator/src/http/a.ts', use('@concordat/raft'), 'no raft'],
  ['apps/coordinator/src/http/b.ts', use('../inbound/x.js'), 'do not know each other'],
  ['apps/coordinator/src/inbound/a.ts', use('../http/x.js'), 'do not know each other'],
  ['apps/coordinator/src/a.ts', use('@concordat/participant'), 'does not import the participant SDK'],
  ['apps/bank/src/a.ts', use('@concordat/raft'), 'bank imports nestjs and client'],
  ['apps/bank/src/b.ts', use('../../coordinator/src/x.js'), 'never reached by a relative path'],
  ['apps/lab/src/a.ts', use('@concordat/messaging'), 'the lab knows the parts by their processes'],
  ['libs/participant/src/d.ts', use('@concordat/messaging/src/topics.js'), 'public name only'],
  ['test/a.ts', use('../libs/raft/src/core/log.js'), 'tests use the public index'],
  ['test/b.ts', use('../apps/coordinator/src/transactions/manager.js'), 'through their ports'],
  ['test/c.ts', use('../apps/coordinator/src/transactions/index.js'), undefined],
  ['test/d.ts', use('@concordat/raft'), undefined],
];

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
  ['libs/client/src/any.ts', 'export const used = (value: any): unknown => value;\n', 'no-explicit-any'],
  ['libs/client/src/type.ts', "import { T } from './x.js';\nexport type U = T;\n", 'consistent-type-imports'],
  [
    'libs/client/src/floating.ts',
    'export function f(): void {\n  Promise.resolve(1).then(() => 2);\n}\n',
    'no-floating-promises',
  ],
  [
    'libs/client/src/switch.ts',
    "export function f(x: 'a' | 'b'): number {\n  switch (x) {\n    case 'a':\n      return 1;\n  }\n  return 0;\n}\n",
    'switch-exhaustiveness-check',
  ],
  ['libs/client/src/cycle-a.ts', "import { b } from './cycle-b.js';\nexport const a = (): unknown => b;\n", 'no-cycle'],
  ['libs/client/src/cycle-b.ts', "import { a } from './cycle-a.js';\nexport const b = (): unknown => a;\n", 'no-cycle'],
  ['libs/client/src/disabled.ts', '// oxlint-disable-next-line no-debugger\nexport const used = 1;\n', 'Unused'],
];

const CASES = [...IMPORT_CASES, ...PURITY_CASES, ...STRICT_CASES];

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
