import { join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const sources = join(import.meta.dirname, '..');

/** Every name that a module exports, with where it is declared, and whether a docstring stands above it. */
function exportedSymbols(file: string, text?: string) {
  const options: ts.CompilerOptions = { module: ts.ModuleKind.NodeNext, noLib: true, types: [], skipLibCheck: true };
  const host = ts.createCompilerHost(options);
  const getSourceFile = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) =>
    name === file && text !== undefined
      ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2023, true)
      : getSourceFile(name, ...rest);
  const program = ts.createProgram([file], options, host);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(file);
  const module = source && checker.getSymbolAtLocation(source);
  if (!module) throw new Error(`${file} is no module`);
  return checker.getExportsOfModule(module).map((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const declaration = symbol.declarations?.[0];
    return {
      name: exported.name,
      file: declaration ? relative(sources, declaration.getSourceFile().fileName) : 'nowhere',
      documented: ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim() !== '',
    };
  });
}

describe('documentation', () => {
  it('stands above everything that the library exports', () => {
    for (const index of ['index.ts', 'testing/index.ts']) {
      const exported = exportedSymbols(join(sources, index));
      expect(exported.length).toBeGreaterThan(5);
      const bare = exported.filter(({ documented }) => !documented).map(({ name, file }) => `${file}: ${name}`);
      expect(bare).toEqual([]);
    }
  }, 30_000);

  it('is missed where there is none', () => {
    const text = '/** This has one. */ export const one = 1;\n// not this\nexport interface Two { three: number }';
    expect(exportedSymbols(join(sources, 'invented.ts'), text)).toEqual([
      { name: 'one', file: 'invented.ts', documented: true },
      { name: 'Two', file: 'invented.ts', documented: false },
    ]);
  }, 30_000);
});
