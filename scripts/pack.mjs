// Makes the packages: compiles what their entries reach, and packs one tarball for each into dist/packages, with a
// bill of materials. Does nothing, quickly, when nothing has changed. docs/packages.md explains it.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { billOfMaterials } from './bill-of-materials.mjs';
import { withLock } from './lock.mjs';
import { runNpm } from './run-npm.mjs';
import { sourceHash } from './source-hash.mjs';
import { takeWords } from './take-words.mjs';
import { readRepository, readWorkspaces, tarballOf } from './workspaces.mjs';

const root = path.resolve(import.meta.dirname, '..');
const at = (...parts) => path.join(root, ...parts);
const target = at('dist', 'packages');
const compiled = path.join(target, 'compiled');
const stamp = path.join(target, '.stamp');

const INPUTS = {
  folders: ['apps', 'libs', 'scripts'],
  files: ['package.json', 'package-lock.json', 'tsconfig.json', 'LICENSE'],
};
const SPECIFIER = /(?:from|import)\s*\(?\s*['"](\.[^'"]*)['"]/g;

/** Compiles all packages at once. Names of packages stay as they are written, unlike in the build of this repository. */
function compile(packages) {
  const config = path.join(compiled, 'tsconfig.json');
  mkdirSync(compiled, { recursive: true });
  writeFileSync(
    config,
    JSON.stringify({
      extends: at('tsconfig.json'),
      compilerOptions: { rootDir: root, outDir: compiled, incremental: false, inlineSources: true },
      include: [],
      files: packages.flatMap(({ entries }) => entries.map((entry) => at(entry))),
    }),
  );
  const tsc = at('node_modules', 'typescript', 'bin', 'tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', config], { stdio: 'inherit' });
  if (status !== 0) throw new Error('the packages do not compile; the errors stand above');
}

/** Puts together what a package will contain. */
function stage({ folder, manifest, sources }) {
  const staged = stagedFolder(manifest);
  const from = path.join(compiled, sources);
  const to = path.join(staged, 'dist');
  for (const file of filesBelow(from, /\.(js|d\.ts|js\.map)$/)) {
    const text = readFileSync(path.join(from, file), 'utf8');
    const outside = [...text.matchAll(SPECIFIER)].find(([, name]) =>
      path.join(path.dirname(file), name).startsWith('..'),
    );
    if (outside) throw new Error(`${sources}/${file} imports ${outside[1]}, which is not in ${manifest.name}`);
    write(path.join(to, file), file.endsWith('.map') ? mapInPackage(text, file) : text);
  }
  for (const file of filesBelow(at(sources), /\.sql$/)) {
    cpSync(at(sources, file), path.join(to, file));
  }
  write(path.join(staged, 'package.json'), `${JSON.stringify(manifestInPackage(manifest, folder), null, 2)}\n`);
  cpSync(at(folder, 'README.md'), path.join(staged, 'README.md'));
  cpSync(at('LICENSE'), path.join(staged, 'LICENSE'));
  return staged;
}

/** npm takes fields of the manifest from `publishConfig` no more: what stands there for the tarball is put in place. */
function manifestInPackage(manifest, folder) {
  const { bin, ...publishConfig } = manifest.publishConfig;
  const repository = readRepository(root);
  return {
    ...manifest,
    ...(repository && { repository: { ...repository, directory: folder } }),
    ...(bin && { bin }),
    publishConfig,
  };
}

function filesBelow(folder, pattern) {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.map((name) => name.split(path.sep).join('/')).filter((name) => pattern.test(name));
}

const stagedFolder = (manifest) => path.join(target, tarballOf(manifest).replace(/\.tgz$/, ''));

/** The map contains its source; the name of that is for people, as if it lay beside `dist`. */
function mapInPackage(text, file) {
  const up = '../'.repeat(file.split('/').length);
  return JSON.stringify({ ...JSON.parse(text), sources: [`${up}src/${file.replace(/\.js\.map$/, '.ts')}`] });
}

function write(file, text) {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function pack(hash) {
  const start = Date.now();
  const packages = readWorkspaces(root);
  console.log(`pack: making ${packages.length} packages …`);
  rmSync(target, { recursive: true, force: true });
  compile(packages);
  const folders = packages.map(stage);
  runNpm(['pack', '--loglevel=error', '--pack-destination', target, ...folders], root);
  writeFileSync(path.join(target, 'sbom.cdx.json'), billOfMaterials(root, packages));
  rmSync(compiled, { recursive: true });
  writeFileSync(stamp, hash);
  console.log(`pack: done in ${((Date.now() - start) / 1000).toFixed(1)} s; the tarballs are in dist/packages`);
}

takeWords(`Usage: npm run pack

Makes the tarballs of all packages in dist/packages, when something has changed. It takes no options.`);

const isPacked = (hash) => existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;

if (!isPacked(sourceHash(root, INPUTS))) {
  await withLock(
    at('dist', '.pack.lock'),
    () => {
      const hash = sourceHash(root, INPUTS);
      try {
        if (!isPacked(hash)) pack(hash);
      } catch (error) {
        console.error(`pack: ${error.message}`);
        process.exitCode = 1;
      }
    },
    (holder) => console.log(`pack: another one is running (process ${holder}); waiting for it …`),
  );
}
