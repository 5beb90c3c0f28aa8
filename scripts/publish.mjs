// Publishes the tarballs of dist/packages that the registry does not have yet. docs/packages.md explains it.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { inOrder, reasonsAgainst, reasonsOfAudit, wordsOfPublish } from './publishing.mjs';
import { runAudit } from './run-audit.mjs';
import { runNpm } from './run-npm.mjs';
import { takeWords } from './take-words.mjs';
import { readRepository, readWorkspaces, tarballOf } from './workspaces.mjs';

const root = path.resolve(import.meta.dirname, '..');
const USAGE = `Usage: npm run packages:publish [-- --dry-run]

Publishes the tarballs of dist/packages that the registry does not have yet.

  --dry-run   only says what would be published`;
const isDryRun = takeWords(USAGE, ['--dry-run']).length > 0;
const pathOf = (manifest) => path.join(root, 'dist', 'packages', tarballOf(manifest));

function isPublished({ name, version }) {
  try {
    // under "npm run -s" npm would not say why it found nothing
    return runNpm(['view', `${name}@${version}`, 'version', '--loglevel=error'], root).trim() === version;
  } catch (error) {
    if (error.message.includes('E404')) return false;
    throw error;
  }
}

function publish({ manifest }) {
  if (isPublished(manifest)) return console.log(`${manifest.name} ${manifest.version} is published already`);
  const words = wordsOfPublish(pathOf(manifest), manifest.version, isDryRun);
  const { status } = spawnSync('npm', words, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${manifest.name} was not published; npm says why above. Run the command again.`);
  console.log(`${manifest.name} ${manifest.version} ${isDryRun ? 'would be published' : 'is published'}`);
}

function refuseFor(reasons) {
  if (reasons.length > 0) throw new Error(reasons.join('\n'));
}

try {
  const packages = readWorkspaces(root);
  const facts = {
    repository: readRepository(root),
    environment: process.env,
    changesets: readdirSync(path.join(root, '.changeset')),
    missing: packages.map(({ manifest }) => pathOf(manifest)).filter((file) => !existsSync(file)),
  };
  refuseFor(reasonsAgainst(facts, isDryRun));
  if (!isDryRun) refuseFor(reasonsOfAudit(runAudit(root)));
  for (const item of inOrder(packages)) publish(item);
} catch (error) {
  console.error(`publish: ${error.message}`);
  process.exitCode = 1;
}
