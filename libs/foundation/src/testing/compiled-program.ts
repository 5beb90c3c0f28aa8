import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { compileSource, edited, sourcesIn, type SourceEdit } from './source-edit.js';

/** A program of this repository: a simulation with all that it needs. */
export interface ProgramSources {
  /** the root of the repository */
  readonly root: string;
  /** from the root, with slashes; sources below a `simulation/testing` are left out, as no simulation needs them */
  readonly folders: readonly string[];
  /** the source of the program itself */
  readonly main: string;
}

const LIBRARY = /^libs\/([^/]+)\/src\//;
const LIBRARY_PACKAGE = JSON.stringify({
  type: 'module',
  exports: { '.': './index.js', './*': './*/index.js' },
});

/**
 * A program that is compiled once into a temporary folder, and copies of it with changed sources. Whoever makes it
 * removes it.
 */
export class CompiledProgram {
  private copies = 0;

  private constructor(
    private readonly main: string,
    private readonly folder: string,
    /** by the path of the source from the root */
    private readonly sources: ReadonlyMap<string, string>,
    private readonly compiled: ReadonlyMap<string, string>,
  ) {}

  static async make({ root, folders, main }: ProgramSources): Promise<CompiledProgram> {
    const folder = await mkdtemp(join(tmpdir(), 'concordat-program-'));
    const sources = new Map<string, string>();
    for (const file of await sourcesIn(root, folders, (name) => name.includes('/simulation/testing/')))
      sources.set(file, await readFile(join(root, file), 'utf8'));
    const compiled = await Promise.all(
      [...sources].map(async ([file, text]) => [file, await compileSource(text)] as const),
    );
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    return new CompiledProgram(main, folder, sources, new Map(compiled));
  }

  /**
   * @returns the program of a copy with these changes
   * @throws Error when an edit does not fit the source
   */
  async copy(edits: readonly SourceEdit[] = []): Promise<string> {
    const target = join(this.folder, `copy-${++this.copies}`);
    const changed = new Map<string, string>();
    for (const edit of edits) {
      const text = changed.get(edit.file) ?? this.sources.get(edit.file);
      if (text === undefined) throw new Error(`there is no file ${edit.file} to be edited`);
      changed.set(edit.file, edited(text, edit));
    }
    await write(join(target, 'package.json'), '{ "type": "module" }');
    for (const [file, code] of this.compiled) {
      const text = changed.get(file);
      await write(join(target, placeOf(file)), text === undefined ? code : await compileSource(text));
      const [, library] = LIBRARY.exec(file) ?? [];
      if (library !== undefined && file.endsWith('/src/index.ts'))
        await write(join(target, 'node_modules', '@concordat', library, 'package.json'), LIBRARY_PACKAGE);
    }
    return join(target, placeOf(this.main));
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Libraries are found by their names, as packages are; everything else stands where its source stands. */
function placeOf(file: string): string {
  return file.replace(LIBRARY, 'node_modules/@concordat/$1/').replace(/\.ts$/, '.js');
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
