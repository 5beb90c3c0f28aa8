import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { isTestCode } from '../architecture/import-table.js';

const root = path.resolve(import.meta.dirname, '../..');

/** What a service logs by the SDK. */
const SHIPPED = ['nestjs', 'participant'].flatMap((name) =>
  readdirSync(path.join(root, `libs/${name}/src`), { recursive: true, encoding: 'utf8' })
    .map((file) => `libs/${name}/src/${file}`)
    .filter((file) => file.endsWith('.ts') && !isTestCode(file)),
);

/** A line of the log, or a name in one, as the sources have it: what is put in is `{}`. */
interface Line {
  readonly where: string;
  readonly text: string;
}

/** Names that lines are made with. */
const NAMES = new Set(['which', 'whole', 'name', 'line', 'sentence']);
const LEVELS = new Set(['debug', 'info', 'warn', 'error']);

function linesOf(file: string): Line[] {
  const source = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
  const lines: Line[] = [];
  const add = (node: ts.Expression): void => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
    lines.push({ where: `${file}:${line + 1}`, text: textOf(node) });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && isLogging(node.expression, source) && node.arguments[0]) add(node.arguments[0]);
    if (ts.isVariableDeclaration(node) && node.initializer && NAMES.has(node.name.getText(source))) {
      if (ts.isTemplateExpression(node.initializer)) add(node.initializer);
    }
    node.forEachChild(visit);
  };
  visit(source);
  return lines;
}

function isLogging(called: ts.Expression, source: ts.SourceFile): boolean {
  if (!ts.isPropertyAccessExpression(called) || !LEVELS.has(called.name.text)) return false;
  return /(^|\.)logger$/.test(called.expression.getText(source));
}

function textOf(node: ts.Expression): string {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) {
    return node.head.text + node.templateSpans.map(({ literal }) => `{}${literal.text}`).join('');
  }
  if (ts.isBinaryExpression(node)) return textOf(node.left) + textOf(node.right);
  return '{}';
}

const lines = SHIPPED.flatMap(linesOf);

/** A word that stands for one transaction or one branch, without its id. */
const NAMELESS = /(?<!no other )\b(?:transaction|branch)\b(?! \{\})/;

/** Of no transaction that anybody knows. */
const OF_NONE: readonly RegExp[] = [/^the contexts of transactions are signed/];

describe('lines of the log about a transaction', () => {
  it('have its id, and those about a branch have both', () => {
    expect(lines.length).toBeGreaterThan(40);
    const about = lines.filter(({ text }) => /\b(?:transaction|branch)\b/.test(text));
    expect(about.length).toBeGreaterThan(15);
    const lacking = about.filter(({ text }) => {
      if (OF_NONE.some((one) => one.test(text))) return false;
      return NAMELESS.test(text) || (text.includes('branch {}') && !text.includes('transaction {}'));
    });
    expect(lacking).toEqual([]);
  });
});
