import { readFileSync } from 'node:fs';
import path from 'node:path';
import { DeclarationReader, type Declaration } from './declarations.js';

/** The packages whose API users program against. */
const DOCUMENTED = ['nestjs', 'participant', 'client', 'testing', 'raft'];

const HEADINGS: Readonly<Record<Declaration['kind'], string>> = {
  class: 'Classes',
  function: 'Functions',
  constant: 'Constants',
  type: 'Types',
};
const KINDS = Object.keys(HEADINGS) as readonly Declaration['kind'][];

const NOTE = '<!-- Made from the docstrings by "npm run reference"; do not edit. -->\n\n';

interface Module {
  /** as it is imported, such as `@concordat/raft/testing` */
  readonly name: string;
  readonly page: string;
  readonly declarations: readonly Declaration[];
}

/** The pages of the reference, by file name; not formatted yet. */
export function referencePages(root: string): ReadonlyMap<string, string> {
  const modules = readModules(root);
  const pages = new Map([['README.md', indexOf(root, modules)]]);
  for (const { name, page } of packagesOf(root)) {
    const own = modules.filter((module) => module.page === page);
    pages.set(page, `${NOTE}# ${name}\n\n${own.map((module) => sectionOf(module, modules)).join('\n')}`);
  }
  return pages;
}

interface Package {
  readonly name: string;
  readonly page: string;
  readonly description: string;
  /** by the name of the module its source */
  readonly entries: readonly (readonly [module: string, file: string])[];
}

interface Manifest {
  readonly name: string;
  readonly description: string;
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
}

function packagesOf(root: string): readonly Package[] {
  return DOCUMENTED.map((short) => {
    const text = readFileSync(path.join(root, 'libs', short, 'package.json'), 'utf8');
    const manifest = JSON.parse(text) as Manifest;
    const entries = Object.entries(manifest.exports).flatMap(([subPath, target]) => {
      if (typeof target === 'string') return [];
      const file = target.default.replace('./dist/', `libs/${short}/src/`).replace(/\.js$/, '.ts');
      return [[manifest.name + subPath.slice(1), file] as const];
    });
    return { name: manifest.name, page: `${short}.md`, description: manifest.description, entries };
  });
}

function readModules(root: string): readonly Module[] {
  const packages = packagesOf(root);
  const files = packages.flatMap(({ entries }) => entries.map(([, file]) => file));
  const reader = new DeclarationReader(root, files);
  return packages.flatMap(({ page, entries }) =>
    entries.map(([name, file]) => ({ name, page, declarations: reader.exportsOf(file) })),
  );
}

function indexOf(root: string, modules: readonly Module[]): string {
  const rows = packagesOf(root).map(({ name, page, description, entries }) => {
    const count = modules.filter((module) => module.page === page).flatMap(({ declarations }) => declarations).length;
    return `| [\`${name}\`](${page}) | ${description} | ${entries.length} | ${count} |`;
  });
  return `${NOTE}# Reference

The public API of the packages, from their docstrings. The [guides](../guides/README.md) say how to use it. What is not here is internal, and may change in any version.

| package | is | modules | names |
| --- | --- | --- | --- |
${rows.join('\n')}

The REST interface of a coordinator documents itself, under \`/docs\` and \`/openapi.json\`. Codes of errors are in [errors.md](../errors.md).
`;
}

function sectionOf({ name, page, declarations }: Module, modules: readonly Module[]): string {
  const placeOf = ({ file, name: exported }: Declaration): string | undefined => {
    const home = modules.find((module) => module.page !== page && file.startsWith(folderOf(module)));
    const isThere = home?.declarations.some((other) => other.name === exported && other.file === file);
    return isThere ? `[\`${exported}\`](${home?.page}#${exported.toLowerCase()})` : undefined;
  };
  const elsewhere = declarations.flatMap((item) => placeOf(item) ?? []);
  const here = declarations.filter((item) => placeOf(item) === undefined);
  const parts = KINDS.flatMap((kind) => {
    const items = here.filter((item) => item.kind === kind);
    return items.length === 0 ? [] : [`## ${HEADINGS[kind]} of ${name}\n\n${items.map(entryOf).join('\n')}`];
  });
  const also =
    elsewhere.length === 0 ? [] : [`\`${name}\` also exports, from other packages: ${elsewhere.join(', ')}.\n`];
  return [...also, ...parts].join('\n');
}

const folderOf = ({ page }: Module): string => `libs/${page.replace(/\.md$/, '')}/`;

function entryOf({ name, code, docstring }: Declaration): string {
  const tags = docstring.tags.map(({ name: tag, text }) => `- ${TAGS[tag] ?? `_${tag}_:`} ${plain(text)}`);
  const text = docstring.text === '' ? '' : `${plain(docstring.text)}\n\n`;
  return `### ${name}\n\n${text}${tags.length === 0 ? '' : `${tags.join('\n')}\n\n`}\`\`\`ts\n${code}\n\`\`\`\n`;
}

const TAGS: Readonly<Record<string, string>> = { param: '', throws: 'Throws', returns: 'Returns' };

/** Text of a docstring as Markdown: what is no code must not be read as HTML. */
function plain(text: string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll('<', '&lt;').replace(/\{@link ([^}]+)\}/g, '`$1`')))
    .join('');
}
