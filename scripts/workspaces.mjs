import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The server is the command and the coordinator it runs, two folders of `apps`. A library is what its `src` holds. */
const sourcesOf = (folder, name) => (name === 'concordat' ? 'apps' : `${folder}/src`);

/**
 * The packages of this repository: what `workspaces` of its package.json names.
 *
 * `sources` is the folder that becomes `dist`; `entries` are the sources behind `exports` and the commands.
 */
export function readWorkspaces(root) {
  const { workspaces } = readManifest(root);
  return workspaces
    .flatMap((pattern) => foldersOf(root, pattern))
    .map((folder) => {
      const manifest = readManifest(path.join(root, folder));
      const sources = sourcesOf(folder, manifest.name);
      return { folder, manifest, sources, entries: entriesOf(manifest, sources) };
    });
}

/** The public repository, as the root's package.json names it; undefined while there is none. */
export function readRepository(root) {
  return readManifest(root).repository;
}

/** As npm calls the tarball of a package. */
export function tarballOf({ name, version }) {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
}

function readManifest(folder) {
  return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
}

function foldersOf(root, pattern) {
  if (!pattern.endsWith('/*')) return [pattern];
  const above = pattern.slice(0, -2);
  return readdirSync(path.join(root, above))
    .map((name) => `${above}/${name}`)
    .filter((folder) => existsSync(path.join(root, folder, 'package.json')))
    .sort();
}

function entriesOf({ exports, publishConfig }, sources) {
  const modules = [
    ...Object.values(exports).flatMap((target) => (typeof target === 'string' ? [] : [target.default])),
    ...Object.values(publishConfig.bin ?? {}).map((file) => `./${file}`),
  ];
  return modules.map((file) => file.replace(/^\.\/dist\//, `${sources}/`).replace(/\.js$/, '.ts'));
}
