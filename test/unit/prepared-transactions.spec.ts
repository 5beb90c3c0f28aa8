import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '../..');
const SOURCES = ['apps', 'libs', 'test'].flatMap((folder) =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(folder, name)),
);

const OWN = path.relative(root, import.meta.filename);

/** Every literal of a file, with what is put into it as it stands in the source. */
function literalsOf(text: string): string[] {
  const literals: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) literals.push(node.getText());
    else ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest, true));
  return literals;
}

/** Statements that read `pg_prepared_xacts`, which shows those of all databases of a server, for all of them. */
function serverWideReads(text: string): string[] {
  if (!text.includes('pg_prepared_xacts')) return [];
  return literalsOf(text).filter(
    (literal) => /\bfrom\s+pg_prepared_xacts/i.test(literal) && !/database = current_database\(\)/i.test(literal),
  );
}

/** Gids taken apart by hand, where it is easily forgotten that they have a cluster. */
function gidsByHand(text: string): string[] {
  return text.match(/\bgid\.(?:split|slice|substring|match)\(/g) ?? [];
}

describe('what is shared with other clusters', () => {
  it('every look at prepared transactions is for one database', () => {
    const found = SOURCES.filter((file) => file !== OWN).flatMap((file) =>
      serverWideReads(readFileSync(path.join(root, file), 'utf8')),
    );
    expect(found).toEqual([]);
    expect(serverWideReads("q('SELECT gid FROM pg_prepared_xacts WHERE gid = $1')")).toHaveLength(1);
    expect(serverWideReads('q(`SELECT FROM\n pg_prepared_xacts WHERE database = current_database()`)')).toEqual([]);
  });

  it('gids are taken apart by one function in the product, and one in the lab', () => {
    const places = SOURCES.filter(
      (file) => !file.startsWith('test') && gidsByHand(readFileSync(path.join(root, file), 'utf8')).length > 0,
    );
    expect(places.sort()).toEqual(['apps/lab/src/scenarios/wire.ts', 'libs/commit-protocol/src/vocabulary/gid.ts']);
    expect(gidsByHand("const [, , id] = gid.split(':');")).toHaveLength(1);
  });
});
