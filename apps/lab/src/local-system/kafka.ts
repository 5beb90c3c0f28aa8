import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { guarded } from '@concordat/foundation';
import { LabError } from '../lab-error.js';
import type { LaunchCommand, Part, SystemContext } from './part.js';
import { portsOf } from './ports.js';
import type { LocalSecurity } from './security/local-security.js';

const OTHER_WAYS =
  'set KAFKA_BROKERS to a broker of your own, or run "docker compose up kafka" and set KAFKA_BROKERS=127.0.0.1:9092';

const isThere = (program: string, flag: string): boolean =>
  spawnSync(program, [flag], { stdio: 'ignore' }).status === 0;

/** Whether a broker is given, or can be started with what this machine has. */
export function isKafkaPossible(root: string): boolean {
  const given = (name: string): boolean => (process.env[name] ?? '') !== '';
  if (given('KAFKA_BROKERS')) return true;
  if (!isThere('java', '-version')) return false;
  return given('KAFKA_HOME') || existsSync(jarsOf(root).directory) || isThere('mvn', '-v');
}

function jarsOf(root: string): { readonly pom: string; readonly version: string; readonly directory: string } {
  const pom = path.join(root, 'apps/lab/assets/kafka/pom.xml');
  const version = /<artifactId>kafka_2\.13<\/artifactId><version>([^<]+)</.exec(readFileSync(pom, 'utf8'))?.[1] ?? 'x';
  return { pom, version, directory: path.join(root, 'node_modules/.cache/concordat', `kafka-jars-${version}`) };
}

/** Runs a program to its end; a failure has its output in the error. */
async function run(program: string, args: readonly string[], signal: AbortSignal, cwd?: string): Promise<void> {
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
  if (!isThere('java', '-version')) missing.push('default-jre-headless');
  if (withMaven && !isThere('mvn', '-v')) missing.push('maven');
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || !isThere('apt-get', '--version')) {
    throw new LabError(
      `The local Kafka broker needs Java 17 and Maven: install them (for example ` +
        `"sudo apt-get install ${missing.join(' ')}"), or ${OTHER_WAYS}.`,
    );
  }
  context.say(`kafka: Java or Maven is missing; installing ${missing.join(' and ')} by apt-get …`);
  await run('apt-get', ['update', '-q'], signal);
  await run('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...missing], signal);
}

/** The class path of the broker: of KAFKA_HOME, or of the jars fetched once into the cache. */
async function classPath(context: SystemContext, signal: AbortSignal): Promise<string> {
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

function writeProperties(context: SystemContext, dataDir: string): string {
  const ports = portsOf('kafka', context.portOffset);
  const template = readFileSync(path.join(context.root, 'apps/lab/assets/kafka/server.properties'), 'utf8');
  const file = path.join(dataDir, 'server.properties');
  const [listener, protocols] = context.security
    ? ['BROKER', 'listener.security.protocol.map=BROKER:SASL_SSL,CONTROLLER:SSL']
    : ['PLAINTEXT', 'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT'];
  mkdirSync(dataDir, { recursive: true });
  rmSync(file, { force: true }); // so that the mode is that of a new file
  writeFileSync(
    file,
    template
      .replaceAll('@DATA@', path.join(dataDir, 'log'))
      .replaceAll('@LISTENER@', listener)
      .replaceAll('@BROKER_PORT@', String(ports['broker']))
      .replaceAll('@CONTROLLER_PORT@', String(ports['controller']))
      .concat(
        '\n',
        [protocols, context.security?.brokerProperties(), process.env['KAFKA_PROPERTIES']].join('\n'),
        '\n',
      ),
    { mode: 0o600 }, // it may hold passwords
  );
  return file;
}

async function answers(broker: string, security: LocalSecurity | undefined): Promise<boolean> {
  const admin = new Kafka({
    brokers: [broker],
    clientId: 'concordat-lab',
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1000,
    requestTimeout: 2000,
    retry: { retries: 0 },
    ...security?.servers.brokerAccess(),
  }).admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length > 0;
  } catch {
    return false;
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/**
 * Options of the broker's JVM. By default only its quick compiler runs: the thorough one takes 3 to 7 ms of CPU per
 * transfer in the first minutes, and a system for trying out seldom lives longer. A benchmark warms the broker up and
 * sets this to nothing, for the JVM's own defaults.
 */
export function brokerJavaOptions(environment: NodeJS.ProcessEnv): string[] {
  const options = environment['CONCORDAT_LAB_KAFKA_JAVA_OPTIONS'] ?? '-XX:TieredStopAtLevel=1';
  return ['-Xms128m', '-Xmx256m', '-XX:+UseSerialGC', ...options.split(' ').filter((option) => option !== '')];
}

const CLUSTER_ID_BYTES = 16;

/**
 * An id for a new Kafka cluster: 16 random bytes in URL-safe Base64, as Kafka makes them. Like Kafka, it never begins
 * with a hyphen, which would look like an option on a command line.
 */
export function newKafkaClusterId(random: (sizeBytes: number) => Buffer = randomBytes): string {
  for (;;) {
    const id = random(CLUSTER_ID_BYTES).toString('base64url');
    if (!id.startsWith('-')) return id;
  }
}

export function kafkaPart(context: SystemContext): Part {
  const ports = portsOf('kafka', context.portOffset);
  const dataDir = path.join(context.directory, 'kafka');
  return {
    name: 'kafka',
    role: 'kafka',
    ports,
    dataDir,
    logFile: path.join(context.directory, 'logs', 'kafka.log'),
    marker: path.join(dataDir, 'server.properties'),
    readyTimeoutMs: 60_000,
    prepare: async (signal): Promise<LaunchCommand> => {
      const libraries = await classPath(context, signal);
      const properties = writeProperties(context, dataDir);
      const logging = path.join(context.root, 'apps/lab/assets/kafka/log4j2.properties');
      if (!existsSync(path.join(dataDir, 'log', 'meta.properties'))) {
        const id = newKafkaClusterId();
        const format = ['kafka.tools.StorageTool', 'format', '-t', id, '-c', properties, '--standalone'];
        await run('java', [`-Dlog4j2.configurationFile=${logging}`, '-cp', libraries, ...format], signal);
      }
      const java = brokerJavaOptions(process.env);
      const args = [...java, `-Dlog4j2.configurationFile=${logging}`, '-cp', libraries, 'kafka.Kafka', properties];
      return { file: 'java', args, cwd: dataDir };
    },
    isReady: () => answers(`127.0.0.1:${ports['broker']}`, context.security),
  };
}
