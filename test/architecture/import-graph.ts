import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

export interface Import {
  /** the file that imports, from the root */
  readonly from: string;
  /** as the import says it */
  readonly specifier: string;
  /** the file that is imported, from the root; undefined for a package */
  readonly to: string | undefined;
}

const SOURCE_FOLDERS = ['apps', 'libs', 'test', 'scripts'];
/** Made by the generator of a library that is tested; its files import each other in circles. */
const GENERATED = 'test/support/database-libraries/prisma-client/generated/';

/** All imports in the sources below a root, types included. Public names of libraries are those of tsconfig.json. */
export function readImports(root: string): { readonly files: readonly string[]; readonly imports: readonly Import[] } {
  const names = publicNames(root);
  const files = SOURCE_FOLDERS.filter((folder) => existsSync(path.join(root, folder))).flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name.split(path.sep).join('/')}`)
      .filter((name) => /\.(ts|tsx|mjs)$/.test(name) && !name.startsWith(GENERATED)),
  );
  const imports = files.flatMap((file) => importsIn(file, readFileSync(path.join(root, file), 'utf8'), names));
  return { files: files.sort(), imports };
}

/** By the public name of a library the file that stands behind it. */
export function publicNames(root: string): ReadonlyMap<string, string> {
  const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file)) as {
    config: { compilerOptions: { paths: Record<string, readonly [string]> } };
  };
  const { paths } = config.compilerOptions;
  return new Map(Object.entries(paths).map(([name, [file]]) => [name, path.posix.normalize(file)]));
}

/** The imports of one source text, with dynamic ones and those of types. */
export function importsIn(from: string, text: string, names: ReadonlyMap<string, string>): Import[] {
  const { importedFiles } = ts.preProcessFile(text, true, true);
  return importedFiles.map(({ fileName: specifier }) => ({ from, specifier, to: resolve(from, specifier, names) }));
}

function resolve(from: string, specifier: string, names: ReadonlyMap<string, string>): string | undefined {
  if (specifier.startsWith('.')) {
    return path.posix.join(path.posix.dirname(from), specifier).replace(/\.js$/, '.ts');
  }
  const name = [...names.keys()].find((start) => specifier.startsWith(`${start}/`) && !names.has(specifier));
  // a deep import of a library; named so that the check can refuse it
  if (name !== undefined) return `${path.posix.dirname(names.get(name)!)}/${specifier.slice(name.length + 1)}`;
  return names.get(specifier);
}
