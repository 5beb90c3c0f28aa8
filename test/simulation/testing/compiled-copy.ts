import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { compileSource, edited, sourcesIn, type SourceEdit } from '../../support/source-edit.js';

const ROOT = resolve(import.meta.dirname, '../../..');
const LIBRARIES = ['foundation', 'commit-protocol', 'messaging', 'participant', 'raft'];
const FOLDERS = [...LIBRARIES.map((name) => `libs/${name}/src`), 'apps/coordinator/src', 'test/simulation'];

/**
 * The system and its simulation, compiled once into a temporary folder, and copies of it with changed sources. Whoever
 * makes it removes it.
 */
export class CompiledSystem {
  private copies = 0;

  private constructor(
    private readonly folder: string,
    /** by the path of the source from the root */
    private readonly sources: ReadonlyMap<string, string>,
    private readonly compiled: ReadonlyMap<string, string>,
  ) {}

  static async make(): Promise<CompiledSystem> {
    const folder = await mkdtemp(join(tmpdir(), 'concordat-simulation-'));
    const sources = new Map<string, string>();
    for (const file of await sourcesIn(ROOT, FOLDERS, isTest))
      sources.set(file, await readFile(join(ROOT, file), 'utf8'));
    const compiled = await Promise.all(
      [...sources].map(async ([file, text]) => [file, await compileSource(text)] as const),
    );
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    return new CompiledSystem(folder, sources, new Map(compiled));
  }

  /**
   * @returns the program that runs the simulation of a copy with these changes
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
    for (const [file, code] of this.compiled) {
      const text = changed.get(file);
      await write(join(target, placeOf(file)), text === undefined ? code : await compileSource(text));
    }
    for (const name of LIBRARIES) {
      const exported = '{ ".": "./index.js", "./testing": "./testing/index.js" }';
      const description = `{ "type": "module", "exports": ${exported} }`;
      await write(join(target, 'node_modules', '@concordat', name, 'package.json'), description);
    }
    await write(join(target, 'package.json'), '{ "type": "module" }');
    return join(target, 'test', 'simulation', 'main.js');
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Libraries are found by their names, as packages are; everything else stands where its source stands. */
function placeOf(file: string): string {
  return file.replace(/^libs\/([^/]+)\/src\//, 'node_modules/@concordat/$1/').replace(/\.ts$/, '.js');
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

function isTest(file: string): boolean {
  return file.startsWith('test/simulation/testing/');
}
