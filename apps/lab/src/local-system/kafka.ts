import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { classPath, run } from './kafka-programs.js';
import type { LaunchCommand, Part, SystemContext } from './part.js';
import { portsOf } from './ports.js';
import type { LocalSecurity } from './security/local-security.js';

function writeProperties(context: SystemContext, dataDir: string): string {
  const ports = portsOf('kafka', context.portOffset);
  const template = readFileSync(path.join(context.root, 'apps/lab/assets/kafka/server.properties'), 'utf8');
  const file = path.join(dataDir, 'server.properties');
  const [listener, protocols] = context.security
    ? ['BROKER', 'listener.security.protocol.map=BROKER:SASL_SSL,CONTROLLER:SSL']
    : ['PLAINTEXT', 'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT'];
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
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
        const further = (process.env['CONCORDAT_LAB_KAFKA_FORMAT'] ?? '').split(' ').filter((word) => word !== '');
        const format = ['kafka.tools.StorageTool', 'format', '-t', id, '-c', properties, '--standalone', ...further];
        await run('java', [`-Dlog4j2.configurationFile=${logging}`, '-cp', libraries, ...format], signal);
      }
      const java = brokerJavaOptions(process.env);
      const args = [...java, `-Dlog4j2.configurationFile=${logging}`, '-cp', libraries, 'kafka.Kafka', properties];
      return { file: 'java', args, cwd: dataDir };
    },
    isReady: () => answers(`127.0.0.1:${ports['broker']}`, context.security),
  };
}
