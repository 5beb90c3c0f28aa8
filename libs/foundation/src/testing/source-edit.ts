import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** A change of the source, to see that a test notices: `find` stands exactly once in the file and is replaced. */
export interface SourceEdit {
  /** from the root, with slashes */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** @throws Error unless the edit fits the source */
export function edited(text: string, { file, find, replace }: SourceEdit): string {
  const parts = text.split(find);
  if (parts.length !== 2)
    throw new Error(
      `${file} has ${parts.length - 1} places instead of one with:\n${find}\nFit the edit to the source.`,
    );
  return parts.join(replace);
}

/** The sources in some folders below `root`, as paths from there with slashes; no specs, nor what `isLeftOut` says. */
export async function sourcesIn(
  root: string,
  folders: readonly string[],
  isLeftOut: (file: string) => boolean,
): Promise<string[]> {
  const files: string[] = [];
  for (const folder of folders) {
    for (const entry of await readdir(join(root, folder), { recursive: true, withFileTypes: true })) {
      const file = relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/');
      const isSource = entry.isFile() && file.endsWith('.ts') && !file.endsWith('spec.ts');
      if (isSource && !isLeftOut(file)) files.push(file);
    }
  }
  return files;
}

/** TypeScript to the ES module that Node runs, as the build makes it. */
export async function compileSource(text: string): Promise<string> {
  const { transform } = await import('@swc/core'); // only where something is compiled: not in the simulations
  const { code } = await transform(text, {
    swcrc: false,
    configFile: false,
    module: { type: 'es6' },
    sourceMaps: false,
    jsc: {
      target: 'es2023',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
      keepClassNames: true,
    },
  });
  return code;
}
