import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '../..');
const BLOCK = /^```(ts|js)(?: .*)?\n([\s\S]*?)^```$/gm;

/** A module made of TypeScript or JavaScript in a document. */
interface Snippet {
  readonly document: string;
  readonly language: 'ts' | 'js';
  /** as many lines as the document has before it, so that the compiler counts as a reader does */
  readonly code: string;
}

/**
 * What is wrong with the TypeScript and JavaScript in documents, as the compiler says it, with document and line. One
 * program checks all of them.
 *
 * @param documents their paths, from the root of the repository
 * @param inPieces the documents whose blocks of TypeScript continue each other; each block of the others is a module of its own
 */
export function typeErrors(documents: readonly string[], inPieces: readonly string[] = []): string[] {
  const texts = documents.map((document) => [document, readFileSync(path.join(root, document), 'utf8')] as const);
  const snippets = texts.flatMap(([document, text]) => snippetsOf(document, text, inPieces.includes(document)));
  return typeErrorsIn(snippets);
}

export function snippetsOf(document: string, text: string, isInPieces: boolean): Snippet[] {
  const blocks = [...text.matchAll(BLOCK)].map(({ index, 0: block, 1: language = '', 2: code = '' }) => ({
    language: language as Snippet['language'],
    linesBefore: linesIn(text.slice(0, index)) + 1,
    linesWith: linesIn(text.slice(0, index + block.length)),
    code,
  }));
  const alone = blocks.filter(({ language }) => !isInPieces || language === 'js');
  const snippets = alone.map(({ language, linesBefore, code }) => ({
    document,
    language,
    code: '\n'.repeat(linesBefore) + code,
  }));
  let all = '';
  for (const { linesBefore, code } of blocks.filter((block) => !alone.includes(block))) {
    all += '\n'.repeat(linesBefore - linesIn(all)) + code;
  }
  return all === '' ? snippets : [...snippets, { document, language: 'ts', code: all }];
}

const linesIn = (text: string): number => text.split('\n').length - 1;

/** JavaScript has no types to be held to. It names no variable, module or export that is not there. */
const NAMES_NOTHING = new Set([2304, 2305, 2307, 2552, 2614, 2724]);

export function typeErrorsIn(snippets: readonly Snippet[]): string[] {
  const config = ts.readConfigFile(path.join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  // beside the code of an application, which sees all packages as their users do
  const files = new Map(
    snippets.map((item, place) => [path.join(root, `apps/bank/src/example-${place}.${item.language}`), item]),
  );
  const host = ts.createCompilerHost(options);
  const program = ts.createProgram({
    rootNames: [...files.keys()],
    // a block without an import is a module as well
    options: {
      ...options,
      allowJs: true,
      checkJs: true,
      noEmit: true,
      incremental: false,
      moduleDetection: ts.ModuleDetectionKind.Force,
    },
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
  return [...files].flatMap(([name, { document, language }]) => {
    const source = program.getSourceFile(name);
    const meanings = program.getSemanticDiagnostics(source);
    const told = language === 'js' ? meanings.filter(({ code }) => NAMES_NOTHING.has(code)) : meanings;
    return [...program.getSyntacticDiagnostics(source), ...told].map(({ file, messageText, start = 0 }) => {
      const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
      return `${document}:${line} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
  });
}
