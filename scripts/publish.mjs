// Publishes the tarballs of dist/packages that the registry does not have yet. docs/packages.md explains it.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { runNpm } from './run-npm.mjs';
import { readRepository, readWorkspaces, tarballOf } from './workspaces.mjs';

const root = path.resolve(import.meta.dirname, '..');
const isDryRun = process.argv.includes('--dry-run');

/** A package after those that it needs: nobody can install one whose dependencies are not there yet. */
function inOrder(packages) {
  const ordered = [];
  const add = (item) => {
    if (ordered.includes(item)) return;
    const needed = Object.keys(item.manifest.dependencies ?? {});
    for (const other of packages) if (needed.includes(other.manifest.name)) add(other);
    ordered.push(item);
  };
  for (const item of packages) add(item);
  return ordered;
}

function isPublished({ name, version }) {
  try {
    return runNpm(['view', `${name}@${version}`, 'version'], root).trim() === version;
  } catch (error) {
    if (error.message.includes('E404')) return false;
    throw error;
  }
}

function publish({ manifest }) {
  if (isPublished(manifest)) return console.log(`${manifest.name} ${manifest.version} is published already`);
  const words = [
    'publish',
    path.join(root, 'dist', 'packages', tarballOf(manifest)),
    ...(isDryRun ? ['--dry-run'] : []),
  ];
  const { status } = spawnSync('npm', words, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${manifest.name} was not published; npm says why above. Run the command again.`);
}

try {
  if (!isDryRun && readRepository(root) === undefined) {
    throw new Error(
      'The package.json of the root has no "repository": npm proves where a package was built only for a public repository that it names.',
    );
  }
  for (const item of inOrder(readWorkspaces(root))) publish(item);
} catch (error) {
  console.error(`publish: ${error.message}`);
  process.exitCode = 1;
}
