// Pins the images of docker-compose.yml and of the Dockerfiles to the bytes that their names mean now; with --check it
// only says whether they are, by its exit code. Needs docker, and trust in the registry at this moment.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { imagesIn, pinImages } from './image-digests.mjs';
import { takeWords } from './take-words.mjs';

const root = path.resolve(import.meta.dirname, '..');
const USAGE = `Usage: npm run images:pin [-- --check]

Pins the images of docker-compose.yml and of the Dockerfiles to the bytes that their names mean now.

  --check   only says whether each is pinned, by the exit code`;
const isCheck = takeWords(USAGE, ['--check']).length > 0;
const FILES = ['docker-compose.yml', 'apps/coordinator/Dockerfile', 'apps/bank/Dockerfile'];
const known = new Map();

/** Each is asked for once, so that all files have the same. */
function digestOf(name) {
  if (!known.has(name)) known.set(name, askFor(name));
  return known.get(name);
}

function askFor(name) {
  const words = ['buildx', 'imagetools', 'inspect', '--format', '{{.Manifest.Digest}}', name];
  const { status, stdout, stderr, error } = spawnSync('docker', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`docker does not say the digest of ${name}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

function check() {
  for (const file of FILES) {
    for (const { name, digest } of imagesIn(readFileSync(path.join(root, file), 'utf8'))) {
      if (digest !== undefined) continue;
      console.error(`${file}: ${name} has no digest; "npm run images:pin" gives it one`);
      process.exitCode = 1;
    }
  }
}

function pin() {
  const texts = FILES.map((file) => [file, pinImages(readFileSync(path.join(root, file), 'utf8'), digestOf)]);
  for (const [file, text] of texts) writeFileSync(path.join(root, file), text); // all of them, or none
  for (const [name, digest] of known) console.log(`${name}@${digest.trim()}`);
}

try {
  if (isCheck) check();
  else pin();
} catch (error) {
  console.error(`images: ${error.message}`);
  process.exitCode = 1;
}
