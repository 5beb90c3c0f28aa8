import path from 'node:path';
import ts from 'typescript';

/** Something that a package exports, as its users see it. */
export interface Declaration {
  readonly name: string;
  readonly kind: 'class' | 'function' | 'constant' | 'type';
  /** without bodies and private members, with the docstrings of its members */
  readonly code: string;
  readonly docstring: Docstring;
  /** the source file, from the root of the repository */
  readonly file: string;
}

export interface Docstring {
  readonly text: string;
  /** such as `throws`, with its text */
  readonly tags: readonly { readonly name: string; readonly text: string }[];
}

/** Reads what modules export, in one program for all of them. */
export class DeclarationReader {
  private readonly program: ts.Program;
  private readonly checker: ts.TypeChecker;
  private readonly emitted = new Map<string, ts.SourceFile>();

  /** @param entries source files, from the root */
  constructor(
    private readonly root: string,
    entries: readonly string[],
  ) {
    const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file)) as {
      config: object;
    };
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
    const rootNames = entries.map((entry) => path.join(root, entry));
    const forDeclarations = { declaration: true, emitDeclarationOnly: true, incremental: false, sourceMap: false };
    this.program = ts.createProgram(rootNames, { ...options, ...forDeclarations });
    this.checker = this.program.getTypeChecker();
  }

  /** All that a module exports, sorted by name. */
  exportsOf(entry: string): readonly Declaration[] {
    const source = this.program.getSourceFile(path.join(this.root, entry));
    const module = source && this.checker.getSymbolAtLocation(source);
    if (!module) throw new Error(`${entry} is no module`);
    const symbols = this.checker.getExportsOfModule(module);
    return symbols.map((symbol) => this.read(symbol)).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  private read(exported: ts.Symbol): Declaration {
    const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0;
    const symbol = isAlias ? this.checker.getAliasedSymbol(exported) : exported;
    const file = symbol.declarations?.[0]?.getSourceFile();
    if (!file) throw new Error(`${exported.name} has no declaration`);
    const declarations = this.declarationsIn(file);
    const nodes = declarations.statements.filter((statement) => namesOf(statement).includes(symbol.name));
    const documented = nodes.find((node) => ts.getJSDocCommentsAndTags(node).length > 0) ?? nodes[0];
    if (!documented) throw new Error(`${exported.name} is not declared at the top of ${file.fileName}`);
    const code = nodes.map((node) => codeOf(node, declarations, file)).join('\n');
    return {
      name: exported.name,
      kind: kindOf(documented),
      code,
      docstring: docstringOf(documented),
      file: path.relative(this.root, file.fileName),
    };
  }

  /** What the compiler writes as the declarations of a source file. */
  private declarationsIn(source: ts.SourceFile): ts.SourceFile {
    const known = this.emitted.get(source.fileName);
    if (known) return known;
    let text = '';
    this.program.emit(source, (_name, written) => (text = written), undefined, true);
    const parsed = ts.createSourceFile(`${source.fileName}.d.ts`, text, ts.ScriptTarget.Latest, true);
    this.emitted.set(source.fileName, parsed);
    return parsed;
  }
}

function namesOf(statement: ts.Statement): readonly string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  }
  const { name } = statement as ts.Statement & { readonly name?: ts.Node };
  return name ? [name.getText()] : [];
}

function kindOf(node: ts.Statement): Declaration['kind'] {
  if (ts.isClassDeclaration(node)) return 'class';
  if (ts.isFunctionDeclaration(node)) return 'function';
  return ts.isVariableStatement(node) ? 'constant' : 'type';
}

/** The text of a declaration without what its users cannot use. */
function codeOf(node: ts.Statement, { text }: ts.SourceFile, source: ts.SourceFile): string {
  const hidden = ts.isClassDeclaration(node) ? node.members.filter(isHidden) : [];
  let code = '';
  let from = node.getStart();
  for (const member of hidden) {
    code += text.slice(from, member.getFullStart());
    from = member.end;
  }
  code += text.slice(from, node.end);
  return code.replace(/^export (default )?(declare )?/, '').replace(/extends (\w+)_base\b/, (found, name: string) => {
    // the compiler gives the class that a function returns a name of its own
    return extendsOf(name, source) ?? found;
  });
}

function isHidden(member: ts.ClassElement): boolean {
  const isPrivate = (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private) !== 0;
  return isPrivate || (member.name !== undefined && ts.isPrivateIdentifier(member.name));
}

function extendsOf(name: string, source: ts.SourceFile): string | undefined {
  for (const statement of source.statements) {
    if (!ts.isClassDeclaration(statement) || statement.name?.text !== name) continue;
    return statement.heritageClauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)?.getText(source);
  }
  return undefined;
}

function docstringOf(node: ts.Node): Docstring {
  const comment = ts.getJSDocCommentsAndTags(node).findLast(ts.isJSDoc);
  const tags = (comment?.tags ?? []).map((tag) => {
    const isParameter = ts.isJSDocParameterTag(tag);
    const text = ts.getTextOfJSDocComment(tag.comment) ?? '';
    // `@throws A, B` and `@param name text`: the parser takes their first word apart
    if (isParameter) return { name: 'param', text: `\`${tag.name.getText()}\`: ${text}` };
    return {
      name: tag.tagName.text,
      text: tag
        .getText()
        .replace(/^@\w+\s*/, '')
        .replace(/\s*\n\s*\*?\s*/g, ' ')
        .trim(),
    };
  });
  return { text: ts.getTextOfJSDocComment(comment?.comment) ?? '', tags };
}
