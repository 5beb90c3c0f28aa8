import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from '@jest/globals';
import { markdownTable } from '@concordat/foundation/testing';
import { FILE_RULES, LAB_FILE_RULES, MAKING } from './file-rules.js';
import { LISTENER_RULES, LISTENING, LISTENING_MODULES } from './listener-rules.js';
import { READING, READING_RULES } from './reading-rules.js';
import { callsOf, numberOf, type ShippedCall } from './shipped-calls.js';

const root = path.resolve(import.meta.dirname, '../../..');
const DOCUMENT = path.join(root, 'docs/security.md');
const FILE_MODULES = ['node:fs', 'node:fs/promises', 'fs', 'fs/promises'];

/** The mode that a call gives, as a member `mode` or as the last argument of `open` and `chmod`. */
function modeOf({ key, node, source }: ShippedCall): number | undefined {
  const given: readonly ts.Expression[] = node.arguments ?? [];
  const options = given.find(ts.isObjectLiteralExpression);
  const member = options?.properties.find((property) => property.name?.getText(source) === 'mode');
  if (member && ts.isPropertyAssignment(member)) {
    const { initializer } = member;
    // the usual one stands last: `account ? 0o755 : 0o700`
    return numberOf(ts.isConditionalExpression(initializer) ? initializer.whenFalse : initializer, source);
  }
  const place = / f?chmod(Sync)?\b/.test(key) ? 1 : 2;
  return given.length === place + 1 ? numberOf(given[place], source) : undefined;
}

const isReading = ({ node }: ShippedCall): boolean => {
  const [, flag] = node.arguments ?? [];
  return flag !== undefined && ts.isStringLiteral(flag) && flag.text === 'r';
};

const octal = (mode: number): string => mode.toString(8).padStart(4, '0');

/** The document with the tables between their marks. */
function withTables(document: string): string {
  const files = Object.values(FILE_RULES)
    .filter(({ mode }) => mode !== undefined)
    .filter(({ what }) => !what.startsWith('the same'))
    .map(({ what, mode, why = '' }) => [what, octal(mode!), why]);
  const listeners = Object.values(LISTENER_RULES).flatMap(({ stream, who }) => (stream ? [[stream, who]] : []));
  const tables = {
    'file-rules': markdownTable(['file or directory', 'made with', 'because'], files),
    'listener-rules': markdownTable(['listener', 'who is let in'], listeners),
  };
  return Object.entries(tables).reduce((text, [name, table]) => {
    const start = `<!-- made from test/unit/security-surface/${name}.ts; do not edit -->\n`;
    const [before, rest, ...more] = text.split(start);
    const end = rest?.indexOf('\n<!-- end of what is made -->') ?? -1;
    if (rest === undefined || end < 0 || more.length > 0)
      throw new TypeError(`the marks of ${name} are not there once`);
    return `${before}${start}\n${table}\n${rest.slice(end)}`;
  }, document);
}

describe('what shipped code makes on a disk', () => {
  const found = callsOf(FILE_MODULES, MAKING).filter((call) => !isReading(call));
  const rules: typeof FILE_RULES = { ...FILE_RULES, ...LAB_FILE_RULES };

  it('has a rule in each place, and no rule is without a place', () => {
    expect(found.map(({ key }) => key).sort()).toEqual(Object.keys(rules).sort());
  });

  it.each(found.map((call) => [call.key, call] as const))('has the mode of its rule: %s', (key, call) => {
    expect(modeOf(call)).toBe(rules[key]?.mode);
  });

  it('is for its owner alone, or the rule says why not', () => {
    const open = Object.entries(rules).filter(([, { mode, why }]) => {
      const isPrivate = mode !== undefined && (mode & 0o077) === 0;
      return !isPrivate && why === undefined;
    });
    expect(open).toEqual([]);
  });
});

it('what shipped code reads from a disk has a rule in each place, and no rule is without a place', () => {
  const found = callsOf(FILE_MODULES, READING)
    .map(({ key }) => key)
    .filter((key) => !key.startsWith('apps/lab/')); // it reads what it has made
  expect(found.toSorted()).toEqual(Object.keys(READING_RULES).sort());
});

describe('where shipped code listens', () => {
  const found = callsOf(LISTENING_MODULES, LISTENING).map(({ key }) => key);

  it('has a rule in each place who is let in, and no rule is without a place', () => {
    expect(found.toSorted()).toEqual(Object.keys(LISTENER_RULES).sort());
  });

  it('names tests that are there', () => {
    const missing = Object.values(LISTENER_RULES).flatMap(({ test }) =>
      test === undefined || existsSync(path.join(root, test)) ? [] : [test],
    );
    expect(missing).toEqual([]);
  });
});

it('docs/security.md has both tables (CONCORDAT_UPDATE_DOCS=1 writes them anew)', () => {
  const expected = withTables(readFileSync(DOCUMENT, 'utf8'));
  if (process.env['CONCORDAT_UPDATE_DOCS'] === '1') writeFileSync(DOCUMENT, expected);
  expect(readFileSync(DOCUMENT, 'utf8')).toBe(expected);
});
