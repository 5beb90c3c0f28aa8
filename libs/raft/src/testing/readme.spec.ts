import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SourceTextModule, SyntheticModule, createContext, type Context, type Module } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import * as foundation from '@concordat/foundation';
import ts from 'typescript';
import * as raft from '../index.js';
import * as testing from './index.js';

const folder = join(import.meta.dirname, '../..');
const readme = readFileSync(join(folder, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text = '']) => text);
const [block = '', ...others] = blocks;

/** What the block's imports stand for: the libraries as everybody gets them. */
function library(specifier: string, context: Context): Module {
  const libraries: Readonly<Record<string, object>> = {
    '@concordat/foundation': foundation,
    '@concordat/raft': raft,
    '@concordat/raft/testing': testing,
  };
  const exported = Object.entries(libraries[specifier] ?? {}) as [string, unknown][];
  expect([specifier, exported.length]).not.toEqual([specifier, 0]);
  const module = new SyntheticModule(
    exported.map(([name]) => name),
    () => {
      for (const [name, value] of exported) module.setExport(name, value);
    },
    { context },
  );
  return module;
}

/** Runs a module to its end and gives what it printed. */
async function run(source: string): Promise<string[]> {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  });
  const printed: string[] = [];
  const context = createContext({ Buffer, console: { log: (line: string) => void printed.push(line) } });
  const module = new SourceTextModule(outputText, { context });
  await module.link((specifier) => Promise.resolve(library(specifier, context)));
  await module.evaluate();
  return printed;
}

describe('the first example of the README', () => {
  it('is short, and the same as the file that is compiled and checked', () => {
    expect(block.split('\n').length - 1).toBeLessThan(50);
    expect(block).toBe(readFileSync(join(folder, 'example/counter.ts'), 'utf8'));
  });

  it('runs as printed, and prints what the README says', async () => {
    const promised = /^```text\n(.*?)\n```$/ms.exec(readme)?.[1]?.split('\n');
    expect(await run(block)).toEqual(promised);
  }, 15_000);
});

/** What the later examples take for granted. */
const before = `
import { SystemClock, SystemRandom } from '@concordat/foundation';
import { FileStorage, GrpcTransport, RaftNode, type StateMachine, type TransportTls } from '@concordat/raft';
declare class Counters implements StateMachine<number> {
  apply(command: Uint8Array): number;
  takeSnapshot(): Uint8Array;
  restoreSnapshot(data: Uint8Array): void;
}
declare const tls: TransportTls;
declare const leader: RaftNode<number>;
`;

/** What the compiler says to a text, as if it were a file of the library. */
function complaints(text: string): string[] {
  const root = join(folder, '../..');
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  const file = join(folder, 'example/of-the-readme.ts');
  const host = ts.createCompilerHost(options);
  const getSourceFile = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2023, true) : getSourceFile(name, ...rest);
  const program = ts.createProgram([file], { ...options, noEmit: true, incremental: false }, host);
  const source = program.getSourceFile(file);
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
    ({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'),
  );
}

describe('the other examples of the README', () => {
  it('fit the library', () => {
    expect(others).toHaveLength(2);
    expect(complaints(`${before}${others.join('\n')}`)).toEqual([]);
    expect(complaints(`${before}${others.join('\n').replace('promote', 'promoted')}`)).not.toEqual([]);
  }, 60_000);
});
