import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { VERSION } from '@concordat/foundation';
import ts from 'typescript';
import { readWorkspaces, type Workspace } from '../../scripts/workspaces.mjs';
import { publicNames, readImports } from '../architecture/import-graph.js';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const json = (file: string): unknown => JSON.parse(read(file));

const repository = json('package.json') as { version: string; private: boolean; bin: Record<string, string> };
const packages = readWorkspaces(root);
const names = packages.map(({ manifest }) => manifest.name);
const cases = packages.map((item) => [item.manifest.name, item] as const);
const { imports } = readImports(root);

/** The sources that these reach inside of their package: what the tarball contains. */
function reachedFrom(entries: readonly string[], sources: string): ReadonlySet<string> {
  const reached = new Set<string>(entries);
  for (const file of reached) {
    for (const { from, to } of imports) if (from === file && to?.startsWith(`${sources}/`)) reached.add(to);
  }
  return reached;
}

const reachedBy = ({ entries, sources }: Workspace): ReadonlySet<string> => reachedFrom(entries, sources);

/** The packages that a package's files import, types included. */
function importedBy(item: Workspace): ReadonlySet<string> {
  const files = reachedBy(item);
  const specifiers = imports.filter(({ from }) => files.has(from)).map(({ specifier }) => specifier);
  const found = specifiers.filter((name) => !name.startsWith('.') && !name.startsWith('node:'));
  return new Set(found.map((name) => /^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name));
}

interface PeerManifest {
  readonly exports: Readonly<Record<string, unknown>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional: boolean }>>;
}

function awaitsAtTopLevel(text: string): boolean {
  let found = false;
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) || ts.isClassLike(node)) return;
    found ||= ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('a.ts', text, ts.ScriptTarget.Latest));
  return found;
}

describe('the packages', () => {
  it('are these, and the repository itself is none', () => {
    expect(names).toEqual(
      expect.arrayContaining([
        'concordat',
        ...['client', 'commit-protocol', 'foundation', 'messaging', 'nestjs', 'participant', 'raft', 'testing'].map(
          (name) => `@concordat/${name}`,
        ),
      ]),
    );
    expect(repository.private).toBe(true);
  });

  // without it, npx would ask the registry for a package of that name, in a clone without node_modules
  it('have their command in a fresh clone too', () => {
    expect(Object.keys(repository.bin)).toEqual(['concordat']);
    expect(read(repository.bin['concordat']!)).toContain('runBuilt(');
  });

  it('are one version, together with the repository and the constant', () => {
    const versions = packages.map(({ manifest }) => manifest.version);
    expect(new Set([...versions, repository.version])).toEqual(new Set([VERSION]));
  });

  it('get their versions together from changesets', () => {
    const { fixed } = json('.changeset/config.json') as { fixed: readonly (readonly string[])[] };
    const isFixed = (name: string): boolean =>
      fixed[0]?.some((pattern) =>
        pattern.endsWith('/*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
      ) ?? false;
    expect(names.filter((name) => !isFixed(name))).toEqual([]);
  });

  it('are known to the compiler under the names that they export', () => {
    const exported = packages.flatMap(({ manifest }) =>
      Object.keys(manifest.exports)
        .filter((name) => name !== './package.json')
        .map((name) => manifest.name + name.slice(1)),
    );
    const known = publicNames(root);
    expect(exported.filter((name) => !known.has(name))).toEqual([]);
  });
});

describe.each(cases)('%s', (name, item) => {
  const { manifest, folder, entries } = item;

  it('has a manifest fit to be published', () => {
    expect(manifest).toMatchObject({
      type: 'module',
      license: 'Apache-2.0',
      engines: { node: '>=20.19' },
      files: ['dist'],
      publishConfig: { access: 'public', provenance: true },
    });
    expect(manifest.description.length).toBeGreaterThan(20);
    expect(manifest.scripts ?? {}).toEqual({}); // none of them runs at an installation
    for (const target of Object.values(manifest.exports)) {
      if (typeof target !== 'string') expect(Object.keys(target)).toEqual(['types', 'default']);
    }
  });

  it('has a source behind every entry, and every command in the clone', () => {
    const commands = Object.values(manifest.bin ?? {}).map((file) => `${folder}/${file}`);
    expect([...entries, ...commands].filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
    expect(Object.keys(manifest.bin ?? {})).toEqual(Object.keys(manifest.publishConfig.bin ?? {}));
  });

  it('declares what it imports, and of the other packages no more', () => {
    const declared = { ...manifest.dependencies, ...manifest.peerDependencies };
    const imported = importedBy(item);
    expect([...imported].filter((used) => !(used in declared) && used !== name)).toEqual([]);
    const internal = Object.keys(declared).filter((dependency) => names.includes(dependency));
    expect(internal.filter((dependency) => !imported.has(dependency))).toEqual([]);
  });

  it('needs exactly this version of the other packages, and ranges of all else', () => {
    for (const [dependency, range] of Object.entries(manifest.dependencies ?? {})) {
      if (names.includes(dependency)) expect(range).toBe(VERSION);
      else expect(range).toMatch(/^[\^~]\d/);
    }
  });

  it('contains no code for tests but what it exports as such', () => {
    const isForTests = (file: string): boolean => file.slice(item.sources.length).includes('/testing/');
    const files = reachedFrom(
      entries.filter((file) => !isForTests(file)),
      item.sources,
    );
    expect([...files].filter((file) => isForTests(file) || /\/simulation\/|spec\.ts$/.test(file))).toEqual([]);
    expect([...reachedBy(item)].filter((file) => /\/simulation\/|spec\.ts$/.test(file))).toEqual([]);
  });

  it('can be loaded by require: no module awaits while it is loaded', () => {
    const modules = entries.filter((file) => !file.endsWith('/main.ts'));
    const awaiting = [...reachedFrom(modules, item.sources)].filter((file) => awaitsAtTopLevel(read(file)));
    expect(awaiting).toEqual([]);
  });

  it('says in its README what it is, and whether it is internal', () => {
    const text = read(`${folder}/README.md`);
    expect(text).toMatch(new RegExp(`^# ${name}\n`));
    expect(/^\*\*Internal\.\*\*/m.test(text)).toBe(manifest.description.endsWith('Internal.'));
  });
});

describe('@concordat/nestjs', () => {
  const { manifest, sources } = packages.find(({ manifest: { name } }) => name === '@concordat/nestjs')!;
  const { exports, peerDependenciesMeta = {} } = manifest as unknown as PeerManifest;
  const optional = Object.keys(peerDependenciesMeta);
  const rows = [...read('docs/packages.md').matchAll(/^\| `(\/[a-z-]+)` +\|[^|]*\|([^|]*)\|$/gm)];
  const documented = new Map(
    rows.map(([, name, peers]) => [`.${name}`, (peers!.match(/[@a-z][@a-z/-]+(?=`)/g) ?? []).sort()]),
  );

  /** The optional peers that a module and all that it imports need, types included. */
  const needed = (entry: string): string[] => {
    const files = reachedFrom([entry], 'libs');
    const found = imports.filter(({ from }) => files.has(from)).map(({ specifier }) => specifier);
    return optional.filter((peer) => found.some((name) => name === peer || name.startsWith(`${peer}/`))).sort();
  };

  it('needs no optional peer at its main entry', () => {
    expect(optional.length).toBeGreaterThan(3);
    expect(needed(`${sources}/index.ts`)).toEqual([]);
  });

  it('needs at each sub-path the optional peers that docs/packages.md says', () => {
    const subPaths = Object.keys(exports).filter((name) => name !== '.' && name !== './package.json');
    const found = subPaths.map((name) => [name, needed(`${sources}/${name.slice(2)}/index.ts`)] as const);
    expect(Object.fromEntries(found)).toEqual(Object.fromEntries(documented));
  });
});

describe('an await at the top level', () => {
  it.each(['await f();', 'const a = [await f()];', 'for await (const a of b) c();', 'if (a) { await b; }'])(
    'is seen in: %s',
    (text) => expect(awaitsAtTopLevel(text)).toBe(true),
  );

  it.each([
    'async () => await f();',
    'class A { async b() { await c(); } }',
    'async function a() { for await (b of c); }',
  ])('is not one inside of a function: %s', (text) => expect(awaitsAtTopLevel(text)).toBe(false));
});
