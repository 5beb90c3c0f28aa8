import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '../../..');

/**
 * What users run: the demo services and the local system as well, because they are read as examples, and
 * `@concordat/testing`, which runs beside the work of its user.
 */
const FOLDERS = [
  ...['bank', 'cli', 'coordinator', 'lab', 'shop'].map((name) => `apps/${name}/src`),
  ...['client', 'commit-protocol', 'foundation', 'messaging', 'nestjs', 'participant', 'raft', 'testing'].map(
    (name) => `libs/${name}/src`,
  ),
];
const FOR_TESTS = /spec\.ts$|\/src\/(.*\/)?(testing|simulation)\//;

/** A call of a function of Node.js, somewhere in shipped code. */
export interface ShippedCall {
  /** `file function`, with the place of the call among equal ones where there are several */
  readonly key: string;
  readonly node: ts.CallExpression | ts.NewExpression;
  readonly source: ts.SourceFile;
}

export function shippedFiles(): readonly string[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((file) => `${folder}/${file.replaceAll(path.sep, '/')}`)
      .filter((file) => file.endsWith('.ts') && !FOR_TESTS.test(file)),
  ).sort();
}

/** Every call of one of these functions or classes, by whatever name it was imported. */
export function callsOf(modules: readonly string[], names: ReadonlySet<string>): readonly ShippedCall[] {
  return shippedFiles().flatMap((file) => {
    const text = readFileSync(path.join(root, file), 'utf8');
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
    const imported = importsOf(source, modules);
    if (imported.size === 0) return [];
    const found: { name: string; node: ts.CallExpression | ts.NewExpression }[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
        const name = nameOf(node.expression, imported);
        if (name !== undefined && names.has(name)) found.push({ name, node });
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found.map(({ name, node }, place) => {
      const equal = found.filter((other) => other.name === name);
      const number = equal.length > 1 ? ` ${equal.findIndex((other) => other.node === found[place]!.node) + 1}` : '';
      return { key: `${file} ${name}${number}`, node, source };
    });
  });
}

/** Local names to what they are in the module; `*` for the module itself. */
function importsOf(source: ts.SourceFile, modules: readonly string[]): ReadonlyMap<string, string> {
  const imported = new Map<string, string>();
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue;
    if (!modules.includes(statement.moduleSpecifier.text)) continue;
    const { name, namedBindings } = statement.importClause ?? {};
    if (name) imported.set(name.text, '*');
    if (namedBindings && ts.isNamespaceImport(namedBindings)) imported.set(namedBindings.name.text, '*');
    if (namedBindings && ts.isNamedImports(namedBindings)) {
      for (const { name: local, propertyName } of namedBindings.elements) {
        const original = (propertyName ?? local).text;
        imported.set(local.text, original === 'promises' ? '*' : original);
      }
    }
  }
  return imported;
}

function nameOf(called: ts.Expression, imported: ReadonlyMap<string, string>): string | undefined {
  if (ts.isIdentifier(called)) {
    const original = imported.get(called.text);
    return original === '*' ? undefined : original;
  }
  if (!ts.isPropertyAccessExpression(called)) return undefined;
  const { expression, name } = called;
  if (ts.isIdentifier(expression) && imported.get(expression.text) === '*') return name.text;
  if (ts.isPropertyAccessExpression(expression) && expression.name.text === 'promises') return name.text; // fs.promises.x
  return undefined;
}

/** The number that an expression is: a literal, or a constant of the file. */
export function numberOf(expression: ts.Expression | undefined, source: ts.SourceFile): number | undefined {
  if (!expression) return undefined;
  if (ts.isNumericLiteral(expression)) return Number(expression.text);
  if (!ts.isIdentifier(expression)) return undefined;
  let found: number | undefined;
  source.forEachChild((node) => {
    if (!ts.isVariableStatement(node)) return;
    for (const { name, initializer } of node.declarationList.declarations) {
      if (name.getText(source) === expression.text) found = numberOf(initializer, source);
    }
  });
  return found;
}
