import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

const DOCUMENTS = [
  ...['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'],
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join('docs', name)),
];

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

/** What is wrong with the TypeScript in a document, as the compiler says it. */
function typeErrors(document: string): string[] {
  const blocks = [...read(document).matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code!);
  const config = ts.readConfigFile(path.join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  const files = new Map(blocks.map((code, place) => [path.join(root, `apps/bank/src/example-${place}.ts`), code]));
  const host = ts.createCompilerHost(options);
  const program = ts.createProgram({
    rootNames: [...files.keys()],
    options: { ...options, noEmit: true, incremental: false },
    host: {
      ...host,
      fileExists: (name) => files.has(name) || host.fileExists(name),
      readFile: (name) => files.get(name) ?? host.readFile(name),
      getSourceFile: (name, version, ...others) => {
        const code = files.get(name);
        return code === undefined
          ? host.getSourceFile(name, version, ...others)
          : ts.createSourceFile(name, code, version);
      },
    },
  });
  return [...files.keys()].flatMap((name) => {
    const source = program.getSourceFile(name);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ messageText, start }) => `${start ?? 0}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    );
  });
}

describe('the documents', () => {
  it.each(DOCUMENTS)('%s has no link into nowhere', (document) => {
    expect(brokenLinks(document)).toEqual([]);
  });

  it('show TypeScript that compiles', () => {
    expect(typeErrors('README.md')).toEqual([]);
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

  it.each(['apps/coordinator/src/config.ts', 'apps/bank/src/config.ts'])('has every variable of %s', (file) => {
    const names = [...read(file).matchAll(/^ {2}([A-Z][A-Z_]+): /gm)].map(([, name]) => name!);
    expect(names.length).toBeGreaterThan(3);
    expect(names.filter((name) => !operations.includes(`\`${name}\``))).toEqual([]);
  });

  it('has every metric of a coordinator, and none that is not there', () => {
    const folder = 'apps/coordinator/src/metrics';
    const files = readdirSync(path.join(root, folder)).filter((name) => !name.endsWith('.spec.ts'));
    const sources = files.map((name) => read(`${folder}/${name}`)).join('\n');
    const known = new Set([...sources.matchAll(/'(concordat_\w+)'/g)].map(([, name]) => name!));
    const tables = ['migrations', 'setup-statements']
      .map((name) => read(`libs/participant/src/postgres/statements/${name}.ts`))
      .flatMap((text) => [...text.matchAll(/"\.(concordat_\w+)/g)].map(([, name]) => name!));
    const named = new Set(
      [...operations.matchAll(/`(concordat_\w+)/g)]
        .map(([, name]) => name!)
        .filter((name) => !name.startsWith('concordat_participant_') && !tables.includes(name)),
    );
    expect([...named].sort()).toEqual([...known].sort());
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
