import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '../../..');
const source = (file: string): string => path.join(root, 'libs/client', file);

/** As a web application compiles it: the types of a browser, and none of Node.js. */
const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  lib: [
    'lib.es2023.d.ts',
    'lib.dom.d.ts',
    'lib.dom.iterable.d.ts',
    'lib.dom.asynciterable.d.ts',
    'lib.esnext.disposable.d.ts',
  ],
  types: [],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
  paths: { '@concordat/client': [source('src/index.ts')] },
};

/** For the examples that do not begin with the imports. */
const BEFORE = `
import { ConcordatClient, defineParticipant, operation } from '@concordat/client';
declare const client: ConcordatClient;
declare const id: string;
declare const token: string;
declare function currentTraceparent(): string;
const bankA = defineParticipant('bank-a', {
  debit: operation<{ account: string; amount: number }, { account: string; balance: number }>(),
});
`;

function examples(): [name: string, text: string][] {
  const readme = readFileSync(source('README.md'), 'utf8');
  return [...readme.matchAll(/```ts\n([^]*?)```/g)].map(([, code], index) => {
    const text = code!.includes("from '@concordat/client'") ? code! : `${BEFORE}{\n${code}\n}\nexport {};\n`;
    return [source(`src/example-${index}.ts`), text];
  });
}

function errorsOf(files: ReadonlyMap<string, string>): string[] {
  const host = ts.createCompilerHost(OPTIONS);
  const withFiles: ts.CompilerHost = {
    ...host,
    fileExists: (file) => files.has(file) || host.fileExists(file),
    readFile: (file) => files.get(file) ?? host.readFile(file),
    getSourceFile: (file, ...more) => {
      const text = files.get(file);
      return text === undefined ? host.getSourceFile(file, ...more) : ts.createSourceFile(file, text, more[0]);
    },
  };
  const program = ts.createProgram([source('src/index.ts'), ...files.keys()], OPTIONS, withFiles);
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    return `${file?.fileName}:${line} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}

describe('the client in a browser', () => {
  it('compiles without the types of Node.js, and so do the examples of its README', () => {
    const files = new Map(examples());
    expect(files.size).toBeGreaterThan(4);
    // proves that the use of Node.js would be found
    files.set(source('src/example.ts'), 'export const id = process.pid;\n');
    expect(errorsOf(files)).toEqual([expect.stringContaining("src/example.ts:1 Cannot find name 'process'")]);
  });
});
