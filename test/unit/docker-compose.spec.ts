import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';

interface Service {
  readonly image: string;
  readonly build?: {
    readonly context: string;
    readonly dockerfile: string;
    readonly args?: Readonly<Record<string, string>>;
  };
  readonly user?: string;
  readonly read_only?: boolean;
  readonly privileged?: boolean;
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly pid?: string;
  readonly network_mode?: string;
  readonly command?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

const root = path.resolve(import.meta.dirname, '../..');
const textOf = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const compose = parse(textOf('docker-compose.yml'), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};

function serviceOf(name: string): Service {
  const service = compose.services[name];
  if (!service) throw new Error(`docker-compose.yml has no service ${name}`);
  return service;
}

const NODES = [1, 2, 3];
/** Kafka, unless the caller's environment says otherwise; the same for all. */
const LINK = '${CONCORDAT_LINK:-kafka}';
const LETTERS = [
  ['a', 1],
  ['b', 2],
  ['c', 3],
] as const;

describe('docker-compose.yml', () => {
  it('has the parts of the local system and no others', () => {
    const letters = LETTERS.flatMap(([letter]) => [`bank-${letter}`, `postgres-${letter}`]);
    const expected = ['kafka', ...letters, ...NODES.map((node) => `coordinator-${node}`)];
    expect(Object.keys(compose.services).sort()).toEqual(expected.sort());
  });

  it('declares every named volume it uses, and no other', () => {
    const used = Object.values(compose.services).flatMap(({ volumes }) => volumes ?? []);
    expect(Object.keys(compose.volumes).sort()).toEqual(used.map((volume) => volume.split(':')[0]).sort());
  });

  it.each(NODES)('coordinator-%i has its variables, ports and disk', (node) => {
    const service = serviceOf(`coordinator-${node}`);
    expect(service.environment).toMatchObject({
      CONCORDAT_NODE_ID: String(node),
      CONCORDAT_HTTP: `0.0.0.0:808${node}`,
      CONCORDAT_RAFT: `0.0.0.0:908${node}`,
      CONCORDAT_LINK: LINK,
      CONCORDAT_DIRECT: `0.0.0.0:708${node}`,
      CONCORDAT_PEERS: NODES.map((id) => `${id}=coordinator-${id}:908${id}/coordinator-${id}:808${id}`).join(','),
      CONCORDAT_DATA_DIR: '/data',
      CONCORDAT_CLUSTER: 'local',
      CONCORDAT_LOG_LEVEL: 'info',
      KAFKA_BROKERS: 'kafka:29092',
    });
    expect(service.environment).not.toHaveProperty('CONCORDAT_FAILPOINTS');
    expect(service.ports).toEqual([8080, 7080].map((base) => `127.0.0.1:${base + node}:${base + node}`));
    expect(service.volumes).toEqual([`coordinator-${node}:/data`]);
    expect(service.depends_on).toEqual({ kafka: { condition: 'service_healthy' } });
  });

  it.each(LETTERS)('bank-%s and its database fit together', (letter, place) => {
    const bank = serviceOf(`bank-${letter}`);
    const name = `bank_${letter}`;
    expect(bank.environment).toMatchObject({
      CONCORDAT_PARTICIPANT: `bank-${letter}`,
      CONCORDAT_HTTP: `0.0.0.0:809${place}`,
      CONCORDAT_LINK: LINK,
      CONCORDAT_COORDINATORS: NODES.map((node) => `http://coordinator-${node}:808${node}`).join(','),
      CONCORDAT_CLUSTER: 'local',
      DATABASE_URL: `postgres://${name}:${name}@postgres-${letter}:5432/${name}`,
      KAFKA_BROKERS: 'kafka:29092',
    });
    expect(bank.ports).toEqual([`127.0.0.1:809${place}:809${place}`]);
    const database = serviceOf(`postgres-${letter}`);
    expect(database.image).toMatch(/^\$\{POSTGRES_IMAGE:-postgres:18\.4(@sha256:[0-9a-f]{64})?\}$/);
    expect(database.environment).toEqual({ POSTGRES_USER: name, POSTGRES_PASSWORD: name, POSTGRES_DB: name });
    expect(database.command).toContain('max_prepared_transactions=128');
    expect(database.ports).toEqual([`127.0.0.1:${5432 + place}:5432`]);
    expect(database.volumes).toEqual([`postgres-${letter}:/var/lib/postgresql`]);
    expect(database.healthcheck?.test).toContain('pg_isready');
  });

  it('offers Kafka to the other services and to the host', () => {
    const kafka = serviceOf('kafka');
    expect(kafka.environment['KAFKA_ADVERTISED_LISTENERS']).toBe('INTERNAL://kafka:29092,HOST://127.0.0.1:9092');
    expect(kafka.environment['KAFKA_AUTO_CREATE_TOPICS_ENABLE']).toBe('false');
    expect(kafka.ports).toEqual(['127.0.0.1:9092:9092']);
    expect(kafka.healthcheck).toBeDefined();
  });

  const services = Object.entries(compose.services);
  /** What a process of an image writes beside its volumes. */
  const IN_MEMORY: Readonly<Record<string, readonly string[]>> = {
    kafka: ['/opt/kafka/config', '/opt/kafka/logs', '/tmp'],
    postgres: ['/var/run/postgresql', '/tmp'],
    coordinator: ['/tmp'],
    bank: ['/tmp'],
  };

  it.each(services)('%s is not root, has no rights, and writes to its volume and to memory only', (name, service) => {
    const users: Readonly<Record<string, string>> = { kafka: 'appuser', postgres: 'postgres' };
    const kind = name.split('-')[0]!;
    expect(service.user).toBe(users[kind] ?? 'node');
    expect(service.read_only).toBe(true);
    expect(service.cap_drop).toEqual(['ALL']);
    expect(service.security_opt).toEqual(['no-new-privileges:true']);
    expect(service.tmpfs).toEqual(IN_MEMORY[kind]);
    for (const right of ['cap_add', 'privileged', 'pid', 'network_mode'] as const)
      expect(service).not.toHaveProperty(right);
    for (const volume of service.volumes ?? []) expect(volume).toMatch(/^[a-z0-9-]+:\/[a-z/]+$/); // none of the host
    for (const port of service.ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('names every image by its full version, in a variable that may hold a digest', () => {
    const foreign = services.filter(([, { build }]) => !build).map(([, { image }]) => image);
    for (const image of foreign)
      expect(image).toMatch(/^\$\{[A-Z]+_IMAGE:-[a-z/]+:\d+\.\d+(\.\d+)?(@sha256:[0-9a-f]{64})?\}$/);
    for (const [, { build }] of services) {
      if (!build) continue;
      const text = textOf(build.dockerfile);
      const pinned = /^ARG NODE_IMAGE=(node:\d+\.\d+\.\d+-slim(?:@sha256:[0-9a-f]{64})?)$/m.exec(text)?.[1];
      expect(text.match(/^FROM .*$/gm)?.map((line) => line.split(' ')[1])).toEqual(Array(3).fill('${NODE_IMAGE}'));
      expect(build.args).toEqual({ NODE_IMAGE: `\${NODE_IMAGE:-${pinned}}` });
    }
  });

  it.each(['coordinator', 'bank'])(
    'the image of %s is built in stages, not run as root, and has a health check',
    (app) => {
      const service = Object.entries(compose.services).find(([name]) => name.startsWith(app))?.[1];
      expect(service?.build?.dockerfile).toBe(`apps/${app}/Dockerfile`);
      const text = textOf(`apps/${app}/Dockerfile`);
      expect(text.match(/^FROM /gm)).toHaveLength(3);
      expect(text).toContain('USER node');
      expect(text).toMatch(
        new RegExp(`^HEALTHCHECK .*\\n  CMD \\["node", "dist/apps/${app}/src/health-check.js"\\]$`, 'm'),
      );
      expect(text).toContain(`dist/apps/${app}/src/main.js`);
    },
  );
});
