import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { compileSource, edited, sourcesIn, type SourceEdit } from '../../../../../test/support/source-edit.js';

const LIBRARIES = resolve(import.meta.dirname, '../../../..');
const RAFT_FOLDERS = ['core', 'driver', 'storage', 'transport', 'simulation', 'testing'];
/** All that the simulation needs of the transport; gRPC is not part of it. */
const OF_TRANSPORT = 'transport/process-claims.ts';

/**
 * A compiled copy of the library and its simulation in a temporary folder, with or without changes of the source.
 * Whoever makes one removes it.
 *
 * @throws Error when an edit does not fit the source
 */
export class CompiledCopy {
  private constructor(private readonly folder: string) {}

  /** The program that runs the simulation. */
  get entry(): string {
    return join(this.folder, 'raft', 'simulation', 'main.js');
  }

  static async make(edits: readonly SourceEdit[] = []): Promise<CompiledCopy> {
    const folder = await mkdtemp(join(tmpdir(), 'raft-simulation-'));
    const copy = new CompiledCopy(folder);
    try {
      await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
      const foundation = join(folder, 'node_modules', '@concordat', 'foundation');
      await copy.compile(join(LIBRARIES, 'foundation', 'src'), ['.'], foundation, []);
      await writeFile(join(foundation, 'package.json'), '{ "type": "module", "exports": "./index.js" }');
      await copy.compile(join(LIBRARIES, 'raft', 'src'), RAFT_FOLDERS, join(folder, 'raft'), edits);
    } catch (error) {
      await copy.remove();
      throw error;
    }
    return copy;
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private async compile(
    source: string,
    folders: readonly string[],
    target: string,
    edits: readonly SourceEdit[],
  ): Promise<void> {
    const used = new Set<SourceEdit>();
    for (const file of await sourcesIn(source, folders, isLeftOut)) {
      const own = edits.filter((edit) => edit.file === file);
      let text = await readFile(join(source, file), 'utf8');
      for (const edit of own) {
        text = edited(text, edit);
        used.add(edit);
      }
      const output = join(target, file.replace(/\.ts$/, '.js'));
      await mkdir(dirname(output), { recursive: true });
      await writeFile(output, await compileSource(text));
    }
    const unused = edits.find((edit) => !used.has(edit));
    if (unused) throw new Error(`there is no file ${unused.file} to be edited`);
  }
}

function isLeftOut(file: string): boolean {
  return file.startsWith('simulation/testing/') || (file.startsWith('transport/') && file !== OF_TRANSPORT);
}
