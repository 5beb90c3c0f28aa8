import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { transform } from '@swc/core';
import type { SourceEdit } from './injected-bug.js';

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
    for (const name of FOLDERS) {
      for (const file of await sourcesIn(name)) sources.set(file, await readFile(join(ROOT, file), 'utf8'));
    }
    const compiled = await Promise.all([...sources].map(async ([file, text]) => [file, await compile(text)] as const));
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
      await write(join(target, placeOf(file)), text === undefined ? code : await compile(text));
    }
    for (const name of LIBRARIES) {
      const description = '{ "type": "module", "exports": "./index.js" }';
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

function edited(text: string, { file, find, replace }: SourceEdit): string {
  const parts = text.split(find);
  if (parts.length !== 2)
    throw new Error(
      `${file} has ${parts.length - 1} places instead of one with:\n${find}\nFit the edit to the source.`,
    );
  return parts.join(replace);
}

async function sourcesIn(folder: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
    const file = relative(ROOT, join(entry.parentPath, entry.name)).replaceAll('\\', '/');
    const isTest = file.endsWith('spec.ts') || file.startsWith('test/simulation/testing/');
    if (entry.isFile() && file.endsWith('.ts') && !isTest) files.push(file);
  }
  return files;
}

async function compile(text: string): Promise<string> {
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
