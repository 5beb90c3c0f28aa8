import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SourceTextModule, SyntheticModule, createContext, type Context, type Module } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import * as foundation from '@concordat/foundation';
import ts from 'typescript';
import * as raft from '../index.js';

const folder = join(import.meta.dirname, '../..');
const readme = readFileSync(join(folder, 'README.md'), 'utf8');
const block = /^```ts\n(.*?)^```$/ms.exec(readme)?.[1] ?? '';

/** What the block's imports stand for: the libraries as everybody gets them. */
function library(specifier: string, context: Context): Module {
  const libraries: Readonly<Record<string, object>> = {
    '@concordat/foundation': foundation,
    '@concordat/raft': raft,
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
