import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { guarded } from '@concordat/foundation';
import { LabError } from '../lab-error.js';
import type { SystemContext } from './part.js';

const OTHER_WAYS =
  'set KAFKA_BROKERS to a broker of your own, or run "docker compose up kafka" and set KAFKA_BROKERS=127.0.0.1:9092';

const isThere = (program: string, flag: string): boolean =>
  spawnSync(program, [flag], { stdio: 'ignore', env: process.env }).status === 0;

/** Kafka 4 does not start with an earlier one. */
const MINIMUM_JAVA = 17;

/** The major version of the Java on the path; undefined without one. */
function javaVersion(): number | undefined {
  const { stderr, status } = spawnSync('java', ['-version'], { encoding: 'utf8', env: process.env });
  if (status !== 0) return undefined;
  // before 9 it was called 1.8
  const major = / version "(?:1\.)?(\d+)/.exec(stderr)?.[1];
  return major === undefined ? undefined : Number(major);
}

const hasJava = (): boolean => (javaVersion() ?? 0) >= MINIMUM_JAVA;

/** Whether a broker is given, or can be started with what this machine has. */
export function isKafkaPossible(root: string): boolean {
  const given = (name: string): boolean => (process.env[name] ?? '') !== '';
  if (given('KAFKA_BROKERS')) return true;
  if (!hasJava()) return false;
  return given('KAFKA_HOME') || existsSync(jarsOf(root).directory) || isThere('mvn', '-v');
}

function jarsOf(root: string): { readonly pom: string; readonly version: string; readonly directory: string } {
  const pom = path.join(root, 'apps/lab/assets/kafka/pom.xml');
  const version = /<artifactId>kafka_2\.13<\/artifactId><version>([^<]+)</.exec(readFileSync(pom, 'utf8'))?.[1] ?? 'x';
  return { pom, version, directory: path.join(root, 'node_modules/.cache/concordat', `kafka-jars-${version}`) };
}

/** Runs a program to its end; a failure has its output in the error. */
export async function run(program: string, args: readonly string[], signal: AbortSignal, cwd?: string): Promise<void> {
  signal.throwIfAborted();
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    ...(cwd === undefined ? {} : { cwd }),
  });
  let output = '';
  const code = await new Promise<number | null>((resolve, reject) => {
    const guardedRead = guarded((chunk: Buffer) => (output += chunk.toString()), reject);
    child.stdout.on('data', guardedRead);
    child.stderr.on('data', guardedRead);
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) {
    const tail = output.trimEnd().split('\n').slice(-8).join('\n    ');
    throw new LabError(`"${program} ${args.slice(0, 3).join(' ')}" failed with exit code ${code}:\n    ${tail}`);
  }
}

/** Requires Java, and Maven where needed. Installs them where this user may; otherwise one sentence says what to do. */
async function requirePrograms(context: SystemContext, signal: AbortSignal, withMaven: boolean): Promise<void> {
  const missing: string[] = [];
  if (!hasJava()) missing.push('default-jre-headless');
  if (withMaven && !isThere('mvn', '-v')) missing.push('maven');
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || !isThere('apt-get', '--version')) {
    throw new LabError(
      `The local Kafka broker needs Java ${MINIMUM_JAVA} or later and Maven: install them (for example ` +
        `"sudo apt-get install ${missing.join(' ')}"), or ${OTHER_WAYS}.`,
    );
  }
  context.say(`kafka: Java ${MINIMUM_JAVA} or Maven is missing; installing ${missing.join(' and ')} by apt-get …`);
  await run('apt-get', ['update', '-q'], signal);
  await run('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...missing], signal);
  if (!hasJava()) {
    throw new LabError(`The Java on the path is older than ${MINIMUM_JAVA}: put a later one first, or ${OTHER_WAYS}.`);
  }
}

/** The class path of the broker: of KAFKA_HOME, or of the jars fetched once into the cache. */
export async function classPath(context: SystemContext, signal: AbortSignal): Promise<string> {
  const home = process.env['KAFKA_HOME'];
  if (home !== undefined && home !== '') {
    if (!existsSync(path.join(home, 'libs'))) {
      throw new LabError(`KAFKA_HOME is "${home}", which has no folder "libs"; it must be an unpacked Kafka.`);
    }
    await requirePrograms(context, signal, false);
    return path.join(home, 'libs', '*');
  }
  const { pom, version, directory: jars } = jarsOf(context.root);
  await requirePrograms(context, signal, !existsSync(jars));
  if (!existsSync(jars)) {
    context.say(`kafka: fetching Apache Kafka ${version} by Maven (once, about 43 MB) …`);
    // renamed when complete, so that an interrupted fetch leaves nothing that looks complete
    const partial = `${jars}.${process.pid}`;
    mkdirSync(partial, { recursive: true });
    try {
      const args = ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', '-DincludeScope=runtime'];
      await run('mvn', [...args, `-DoutputDirectory=${partial}`], signal);
      if (!existsSync(jars)) renameSync(partial, jars);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  }
  return path.join(jars, '*');
}
