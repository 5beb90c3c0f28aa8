import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import { readWorkspaces } from '../../scripts/workspaces.mjs';
import { snippetsOf, typeErrors, typeErrorsIn } from './snippets.js';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

const READMES = ['README.md', ...readWorkspaces(root).map(({ folder }) => path.join(folder, 'README.md'))];

/** Tests of their own compile them: as in a browser, and with what the first example defines. */
const COMPILED_ELSEWHERE = ['libs/client/README.md', 'libs/raft/README.md'];
/** What blocks lack that tests of their own run: with an SDK that is installed for it, and with a function for the money. */
const GIVEN_BY_TESTS = [
  /^docs\/guides\/tracing\.md:\d+ Cannot find module '@opentelemetry\/sdk-node'/,
  /^docs\/guides\/locks\.md:\d+ Cannot find name 'sendMoney'/,
];
/** Their blocks continue each other. */
const IN_PIECES = ['libs/testing/README.md', 'docs/guides/testing.md'];

const DOCUMENTS = [
  ...READMES,
  ...['CHANGELOG.md', 'CONTRIBUTING.md'],
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join('docs', name)),
];

const GUIDES = DOCUMENTS.filter((name) => name.startsWith('docs/guides/'));

const withoutCode = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, 'code');

/** Anchors as GitHub makes them from headings. */
function anchorsOf(text: string): Set<string> {
  const headings = text.replace(/^```[\s\S]*?^```/gm, '').match(/^#{1,6} .+$/gm) ?? [];
  return new Set(
    headings.map((heading) =>
      heading
        .replace(/^#+ /, '')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function brokenLinks(document: string): string[] {
  const targets = [...withoutCode(read(document)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [file = '', anchor] = target.split('#');
    const full = file === '' ? document : path.join(path.dirname(document), file);
    if (!existsSync(path.join(root, full))) return true;
    return anchor !== undefined && !(full.endsWith('.md') && anchorsOf(read(full)).has(anchor));
  });
}

interface Words {
  readonly identifiers: ReadonlySet<string>;
  readonly texts: readonly string[];
}

const wordsByFile = new Map<string, Words>();

/** Identifiers and texts of a source file, without its comments. */
function wordsOf(file: string): Words {
  const known = wordsByFile.get(file);
  if (known) return known;
  const identifiers = new Set<string>();
  const texts: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) identifiers.add(node.text);
    else if (ts.isStringLiteral(node) || ts.isTemplateLiteralToken(node)) texts.push(node.text);
    node.forEachChild(visit);
  };
  visit(ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest));
  wordsByFile.set(file, { identifiers, texts });
  return { identifiers, texts };
}

/** Whether a path, command or symbol in code marks is real; a symbol must stand in the source file named before it. */
function isReal(code: string, file: string | undefined): boolean {
  const script = /^(?:\w+=\S+ )?npm (?:run )?([\w:]+)/.exec(code)?.[1];
  if (script !== undefined) {
    const paths = code.split(' ').filter((word) => word.includes('/'));
    const tests = ['apps', 'libs', 'test'].flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
        .map((name) => path.join(folder, name))
        .filter((name) => name.endsWith('spec.ts')),
    );
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    return script in scripts && paths.every((part) => tests.some((name) => name.includes(part)));
  }
  if (!file) return false;
  const { identifiers, texts } = wordsOf(file);
  const literal = code.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return identifiers.has(code) || texts.some((text) => new RegExp(`(?<!\\w)${literal}(?!\\w)`).test(text));
}

/** Code marks of a document that name nothing real. */
function inventedNames(document: string): string[] {
  const invented: string[] = [];
  let file: string | undefined;
  for (const [, target, code] of read(document).matchAll(/\]\(([^)\s]+\.ts)\)|`([^`\n]+)`/g)) {
    if (target !== undefined) file = path.join(path.dirname(document), target);
    else if (!isReal(code!, file)) invented.push(`${code} (${file ?? 'no file'})`);
  }
  return invented;
}

describe('the documents', () => {
  it.each(DOCUMENTS)('%s has no link into nowhere', (document) => {
    expect(brokenLinks(document)).toEqual([]);
  });

  it.each(DOCUMENTS)('%s has no marks of a merge, as git or the formatter writes them', (document) => {
    expect(read(document).match(/^(?:\| )?(?:<{7}|={7}|>{7}|(?:> ){5,}).*/gm)).toBeNull();
  });

  it('show TypeScript that compiles, and JavaScript that would', () => {
    const documents = [...READMES.filter((name) => !COMPILED_ELSEWHERE.includes(name)), ...GUIDES];
    const errors = typeErrors(documents, IN_PIECES);
    expect(errors.filter((error) => !GIVEN_BY_TESTS.some((known) => known.test(error)))).toEqual([]);
    expect(errors).toHaveLength(GIVEN_BY_TESTS.length);
  }, 120_000);

  it('would be told of TypeScript that does not, at its line', () => {
    const text = ['# A', '```ts', 'const a = 1;', '```', 'text', '```ts src/b.ts', 'const b: string = a;', '```'];
    const errorsOf = (isInPieces: boolean): string[] => typeErrorsIn(snippetsOf('a.md', text.join('\n'), isInPieces));
    expect(errorsOf(false)).toEqual(["a.md:7 Cannot find name 'a'."]);
    expect(errorsOf(true)).toEqual(["a.md:7 Type 'number' is not assignable to type 'string'."]);
  }, 120_000);

  it('would be told of JavaScript that does not, too', () => {
    const text = ['```ts', 'const a = 1;', '```', '```js a.mjs', "import { b } from 'node:path';", 'a.c();', '```'];
    for (const isInPieces of [false, true]) {
      expect(typeErrorsIn(snippetsOf('a.md', text.join('\n'), isInPieces))).toEqual([
        `a.md:5 Module '"node:path"' has no exported member 'b'.`,
        "a.md:6 Cannot find name 'a'.",
      ]);
    }
  }, 120_000);

  const records = readdirSync(path.join(root, 'docs/adr')).filter((name) => name !== 'README.md');
  const index = read('docs/adr/README.md');

  it('list every decision record', () => {
    expect(records.filter((name) => !index.includes(`(${name})`))).toEqual([]);
  });

  it('mark a superseded decision record in the index and in the record', () => {
    const marked = records.filter((name) => /^\*\*Superseded by \[\d+\]\(.+\)\.\*\*$/m.test(read(`docs/adr/${name}`)));
    const listed = records.filter((name) => index.split('\n').some((row) => row.includes(`(${name}), superseded by `)));
    expect(marked.length).toBeGreaterThan(0);
    expect(listed).toEqual(marked);
  });
});

describe('docs/operations.md', () => {
  const operations = read('docs/operations.md');

  it.each(['apps/coordinator/src/config.ts', 'apps/coordinator/src/auth-variables.ts', 'apps/bank/src/config.ts'])(
    'has every variable of %s',
    (file) => {
      const names = [...read(file).matchAll(/^ {2}([A-Z][A-Z_]+): /gm)].map(([, name]) => name!);
      expect(names.length).toBeGreaterThan(3);
      expect(names.filter((name) => !operations.includes(`\`${name}\``))).toEqual([]);
    },
  );

  it('has every metric of a coordinator, and none that is not there', () => {
    const folder = 'apps/coordinator/src/metrics';
    const files = readdirSync(path.join(root, folder)).filter((name) => !name.endsWith('.spec.ts'));
    const sources = files.map((name) => read(`${folder}/${name}`)).join('\n');
    const known = new Set([...sources.matchAll(/'(concordat_\w+)'/g)].map(([, name]) => name!));
    const postgres = 'libs/participant/src/postgres';
    const migrations = readdirSync(path.join(root, postgres, 'migrations')).filter((name) => name.endsWith('.sql'));
    const tables = [...migrations.map((name) => `migrations/${name}`), 'statements/setup-statements.ts']
      .map((name) => read(`${postgres}/${name}`))
      .flatMap((text) => [...text.matchAll(/(?:"|:CONCORDAT_SCHEMA)\.(concordat_\w+)/g)].map(([, name]) => name!));
    const named = new Set(
      [...operations.matchAll(/`(concordat_\w+)/g)]
        .map(([, name]) => name!)
        .filter((name) => !name.startsWith('concordat_participant_') && !tables.includes(name)),
    );
    expect([...named].sort()).toEqual([...known].sort());
  });
});

describe('docs/tour.md', () => {
  it('names symbols and commands that are there', () => {
    expect(inventedNames('docs/tour.md')).toEqual([]);
  });

  it('would be told of one that is not', () => {
    expect(isReal('applyDecide', 'libs/commit-protocol/src/log/decision-state.ts')).toBe(true);
    expect(isReal('applyDecision', 'libs/commit-protocol/src/log/decision-state.ts')).toBe(false);
    expect(isReal('Refuses', 'libs/commit-protocol/src/log/decision-state.ts')).toBe(false); // in comments only
    expect(isReal('npm run raft:demo', undefined)).toBe(false);
  });
});

describe('the picture', () => {
  let picture: string;
  beforeAll(() => void (picture = read('docs/images/architecture.svg')));

  it('brings its own light background, and says in words what it shows', () => {
    expect(picture).toMatch(/<rect [^>]*fill="#ffffff"/);
    expect(picture).toContain('<title');
    expect(picture).toContain('<desc');
  });
});
