import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '../..');
const TYPESCRIPT = /^```ts(?: .*)?\n([\s\S]*?)^```$/gm;

/** A module made of TypeScript in a document. */
interface Snippet {
  readonly document: string;
  /** as many lines as the document has before it, so that the compiler counts as a reader does */
  readonly code: string;
}

/**
 * What is wrong with the TypeScript in documents, as the compiler says it, with document and line. One program checks
 * all of them.
 *
 * @param documents their paths, from the root of the repository
 * @param inPieces the documents whose blocks continue each other; each block of the others is a module of its own
 */
export function typeErrors(documents: readonly string[], inPieces: readonly string[] = []): string[] {
  const texts = documents.map((document) => [document, readFileSync(path.join(root, document), 'utf8')] as const);
  const snippets = texts.flatMap(([document, text]) => snippetsOf(document, text, inPieces.includes(document)));
  return typeErrorsIn(snippets);
}

export function snippetsOf(document: string, text: string, isInPieces: boolean): Snippet[] {
  const blocks = [...text.matchAll(TYPESCRIPT)].map(({ index, 0: block, 1: code = '' }) => ({
    linesBefore: linesIn(text.slice(0, index)) + 1,
    linesWith: linesIn(text.slice(0, index + block.length)),
    code,
  }));
  if (!isInPieces) return blocks.map(({ linesBefore, code }) => ({ document, code: '\n'.repeat(linesBefore) + code }));
  let all = '';
  for (const { linesBefore, code } of blocks) all += '\n'.repeat(linesBefore - linesIn(all)) + code;
  return all === '' ? [] : [{ document, code: all }];
}

const linesIn = (text: string): number => text.split('\n').length - 1;

export function typeErrorsIn(snippets: readonly Snippet[]): string[] {
  const config = ts.readConfigFile(path.join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  // beside the code of an application, which sees all packages as their users do
  const files = new Map(snippets.map((item, place) => [path.join(root, `apps/bank/src/example-${place}.ts`), item]));
  const host = ts.createCompilerHost(options);
  const program = ts.createProgram({
    rootNames: [...files.keys()],
    // a block without an import is a module as well
    options: { ...options, noEmit: true, incremental: false, moduleDetection: ts.ModuleDetectionKind.Force },
    host: {
      ...host,
      fileExists: (name) => files.has(name) || host.fileExists(name),
      readFile: (name) => files.get(name)?.code ?? host.readFile(name),
      getSourceFile: (name, version, ...others) => {
        const snippet = files.get(name);
        return snippet === undefined
          ? host.getSourceFile(name, version, ...others)
          : ts.createSourceFile(name, snippet.code, version);
      },
    },
  });
  return [...files].flatMap(([name, { document }]) => {
    const source = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ file, messageText, start = 0 }) => {
        const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
        return `${document}:${line} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
      },
    );
  });
}
