import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { imagesIn, pinImages } from '../../scripts/image-digests.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const SCRIPTS = ['image-digests', 'pin-images', 'take-words'].map((name) => `scripts/${name}.mjs`);
const FILES = ['docker-compose.yml', 'apps/coordinator/Dockerfile', 'apps/bank/Dockerfile'];
const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
const OTHER = `sha256:${'f'.repeat(64)}`;

describe('the names of images', () => {
  const text = [
    '# docker build --build-arg NODE_IMAGE=node:24-slim',
    'ARG NODE_IMAGE=node:24.1.0-slim',
    'FROM ${NODE_IMAGE}',
    'image: ${KAFKA_IMAGE:-apache/kafka:4.3.1}',
    "args: { NODE_IMAGE: '${NODE_IMAGE:-node:24.1.0-slim}' }",
    'image: concordat/coordinator',
  ].join('\n');

  it('get the digest of each, asked for once, and a new one in place of it', () => {
    const asked: string[] = [];
    const pinned = pinImages(text, (name) => {
      asked.push(name);
      return `${DIGEST}\n`;
    });
    expect(asked).toEqual(['node:24.1.0-slim', 'apache/kafka:4.3.1']);
    expect(pinned.split('\n')).toEqual([
      '# docker build --build-arg NODE_IMAGE=node:24-slim',
      `ARG NODE_IMAGE=node:24.1.0-slim@${DIGEST}`,
      'FROM ${NODE_IMAGE}',
      `image: \${KAFKA_IMAGE:-apache/kafka:4.3.1@${DIGEST}}`,
      `args: { NODE_IMAGE: '\${NODE_IMAGE:-node:24.1.0-slim@${DIGEST}}' }`,
      'image: concordat/coordinator',
    ]);
    expect(pinImages(pinned, () => OTHER)).toBe(pinned.replaceAll(DIGEST, OTHER));
    expect(imagesIn(pinned)).toEqual([
      { name: 'node:24.1.0-slim', digest: DIGEST },
      { name: 'apache/kafka:4.3.1', digest: DIGEST },
    ]);
  });

  it('stay where the registry gives no digest', () => {
    for (const wrong of ['', 'latest', 'sha256:abc', `${DIGEST}\n${OTHER}`]) {
      expect(() => pinImages(text, () => wrong)).toThrow('the registry gave no digest of node:24.1.0-slim');
    }
  });
});

describe('npm run images:pin', () => {
  let copy: string;
  beforeEach(() => {
    copy = mkdtempSync(path.join(tmpdir(), 'concordat-images-'));
    for (const file of [...FILES, ...SCRIPTS]) {
      cpSync(path.join(root, file), path.join(copy, file));
    }
    mkdirSync(path.join(copy, 'bin'));
  });
  afterEach(() => rmSync(copy, { recursive: true }));

  /** In place of docker: prints this. */
  function run(docker: string, ...words: string[]) {
    writeFileSync(path.join(copy, 'bin/docker'), `#!/bin/sh\n${docker}\n`);
    chmodSync(path.join(copy, 'bin/docker'), 0o755);
    const env = { ...process.env, PATH: `${path.join(copy, 'bin')}:${process.env['PATH']}` };
    const script = path.join(copy, 'scripts/pin-images.mjs');
    return spawnSync(process.execPath, [script, ...words], { encoding: 'utf8', env });
  }
  const images = () => FILES.flatMap((file) => imagesIn(readFileSync(path.join(copy, file), 'utf8')));

  it('pins the images of all files, and --check says so', () => {
    const { status, stdout } = run(`echo ${DIGEST}`);
    expect([status, stdout.trim().split('\n').length]).toEqual([0, 3]);
    expect(new Set(images().map(({ digest }) => digest))).toEqual(new Set([DIGEST]));
    expect(run('exit 1', '--check').status).toBe(0);
  });

  it('changes nothing when docker cannot say, and --check names what has no digest', () => {
    writeFileSync(path.join(copy, FILES[0]!), 'image: ${KAFKA_IMAGE:-apache/kafka:4.3.1}\n');
    const before = images();
    const refused = run('case "$*" in *kafka*) echo "no such host" >&2; exit 1;; esac; echo ' + DIGEST);
    expect([refused.status, refused.stderr]).toEqual([
      1,
      'images: docker does not say the digest of apache/kafka:4.3.1: no such host\n',
    ]);
    expect(images()).toEqual(before);
    const { status, stderr } = run('exit 1', '--check');
    expect([status, stderr.split('\n')[0]]).toEqual([
      1,
      'docker-compose.yml: apache/kafka:4.3.1 has no digest; "npm run images:pin" gives it one',
    ]);
  });
});
