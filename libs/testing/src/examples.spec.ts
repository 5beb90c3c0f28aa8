import { readFileSync } from 'node:fs';
import path from 'node:path';
import { SourceTextModule, SyntheticModule, createContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import * as testing from './index.js';

const root = path.resolve(import.meta.dirname, '../../..');

/** The examples of a document that are marked as a program, as one module, and what it says they print. */
function examplesOf(document: string): { readonly source: string; readonly printed: string[] } {
  const text = readFileSync(path.join(root, document), 'utf8');
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block = '']) => block);
  const runnable = blocks.filter((block) => !block.includes("'@concordat/testing/databases'"));
  return { source: runnable.join('\n'), printed: /^```text\n(.*?)\n```$/ms.exec(text)?.[1]?.split('\n') ?? [] };
}

async function run(source: string): Promise<string[]> {
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
  });
  const printed: string[] = [];
  const log = (...words: unknown[]): void => void printed.push(words.map(String).join(' '));
  const context = createContext({ console: { log }, fetch, Promise, JSON });
  const module = new SourceTextModule(outputText, { context });
  await module.link(() => {
    const library = new SyntheticModule(
      Object.keys(testing),
      () => {
        for (const [name, value] of Object.entries(testing)) library.setExport(name, value);
      },
      { context },
    );
    return Promise.resolve(library);
  });
  await module.evaluate();
  return printed;
}

describe.each(['libs/testing/README.md', 'docs/guides/testing.md'])('the examples of %s', (document) => {
  it('run as they are printed', async () => {
    const { source, printed } = examplesOf(document);
    expect(printed.length).toBeGreaterThan(1);
    expect(await run(source)).toEqual(printed);
  });
});
