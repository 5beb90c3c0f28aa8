import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { silentLogger } from '@concordat/foundation';
import { TestAuthority } from '@concordat/raft/testing';
import type { MemberRequest } from './cluster/cluster.api.js';
import { RaftCluster } from './cluster/raft-cluster.js';
import { parseConfig, type Config } from './config.js';
import { CoreModule } from './core.module.js';
import { EngineModule } from './engine.module.js';
import { TransactionManager } from './transactions/transaction-manager.js';

/** Below the ports that Linux takes for outgoing connections. */
const PORTS = { first: 21_000, last: 31_000 };
const CLUSTER_NAME = 'engines';
const WAIT_MS = 20_000;

@Module({})
class TestModule {}

interface Engine {
  readonly context: INestApplicationContext;
  readonly cluster: RaftCluster;
  readonly manager: TransactionManager;
}

let directory: string;
let authority: TestAuthority;
let engines: Map<number, Engine>;
let ports: number[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'concordat-engine-'));
  authority = TestAuthority.create();
  engines = new Map();
  ports = await freePorts(5);
});
afterEach(async () => {
  await Promise.all([...engines.values()].map((engine) => engine.context.close()));
  await rm(directory, { recursive: true });
});

async function freePorts(count: number): Promise<number[]> {
  const free: number[] = [];
  const span = PORTS.last - PORTS.first;
  const start = Math.floor(Math.random() * span);
  for (let tried = 0; tried < span && free.length < count; tried++) {
    const port = PORTS.first + ((start + tried) % span);
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) free.push(port);
  }
  return free;
}

function raftPort(nodeId: number): number {
  return ports[nodeId - 1]!;
}

/** Nothing listens there: no request is made over HTTP here. */
function httpPort(nodeId: number): number {
  return 10_000 + nodeId;
}

function peers(nodeIds: readonly number[]): string {
  return nodeIds.map((id) => `${id}=127.0.0.1:${raftPort(id)}/127.0.0.1:${httpPort(id)}`).join(',');
}

async function configOf(nodeId: number, members: readonly number[], more: Record<string, string>): Promise<Config> {
  const { ca, cert, key } = authority.issue({ clusterName: CLUSTER_NAME, nodeId });
  const files = { CA: ca, CERT: cert, KEY: key };
  const tls: Record<string, string> = {};
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, `${nodeId}-${name}.pem`);
    await writeFile(path, content, { mode: 0o600 });
    tls[`CONCORDAT_RAFT_TLS_${name}`] = path;
  }
  const result = parseConfig({
    CONCORDAT_NODE_ID: String(nodeId),
    CONCORDAT_CLUSTER: CLUSTER_NAME,
    CONCORDAT_PEERS: peers(members),
    CONCORDAT_DATA_DIR: join(directory, `node-${nodeId}`),
    CONCORDAT_TICK_MS: '20',
    KAFKA_BROKERS: '127.0.0.1:1',
    ...tls,
    ...more,
  });
  if (!result.ok) throw new TypeError(JSON.stringify(result.problems));
  return result.config;
}

async function start(nodeId: number, members: readonly number[], more: Record<string, string> = {}): Promise<Engine> {
  const config = await configOf(nodeId, members, more);
  const onFatal = (error: Error): void => {
    throw error;
  };
  const imports = [CoreModule.register({ config, logger: silentLogger, onFatal }), EngineModule.register()];
  const module = { module: TestModule, imports };
  const context = await NestFactory.createApplicationContext(module, { logger: false, abortOnError: false });
  const all = { strict: false };
  const engine = { context, cluster: context.get(RaftCluster, all), manager: context.get(TransactionManager, all) };
  engines.set(nodeId, engine);
  return engine;
}

async function stop(nodeId: number): Promise<void> {
  await engines.get(nodeId)?.context.close();
  engines.delete(nodeId);
}

function request(nodeId: number, changes: Partial<MemberRequest> = {}): MemberRequest {
  const address = (port: number): { host: string; port: number } => ({ host: '127.0.0.1', port });
  return { nodeId, raft: address(raftPort(nodeId)), http: address(httpPort(nodeId)), role: 'voter', ...changes };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function leader(): Promise<Engine> {
  const leading = (): Engine | undefined => [...engines.values()].find(({ cluster }) => cluster.isLeader());
  await until(() => leading() !== undefined);
  return leading()!;
}

describe('engines over gRPC with mutual TLS, on real files', () => {
  it('form a group, take a node in, replace a dead one, and remember it all over restarts', async () => {
    await Promise.all([1, 2, 3].map((nodeId) => start(nodeId, [1, 2, 3])));
    const joining = await start(4, [1, 4], { CONCORDAT_JOIN: 'true' });
    expect(joining.cluster.lacks()[0]?.reason).toContain('does not belong to the group yet');
    const { view } = await (await leader()).cluster.setMember(request(4), WAIT_MS);
    expect(view.members.map(({ nodeId, role }) => [nodeId, role])).toEqual([1, 2, 3, 4].map((id) => [id, 'voter']));
    const { manager } = await leader();
    const { id } = await manager.begin({ protocol: '2pc', timeoutMs: 600_000, metadata: {} });
    expect((await joining.manager.get(id, 'linearizable')).value.status).toBe('active');

    await stop(3);
    const fifth = await start(5, [1, 2, 5], { CONCORDAT_JOIN: 'true' });
    await (await leader()).cluster.setMember(request(5, { replaces: 3 }), WAIT_MS);
    await until(() => fifth.cluster.exclusion() === undefined);
    expect((await fifth.manager.get(id, 'linearizable')).value.status).toBe('active');

    // What the variables said at first is of no meaning any more.
    await Promise.all([1, 2, 4, 5].map(stop));
    await Promise.all([1, 2, 4, 5].map((nodeId) => start(nodeId, [...new Set([1, 2, 3, nodeId])])));
    await leader();
    for (const { cluster, manager: reader } of engines.values()) {
      expect((await reader.get(id, 'linearizable')).value.status).toBe('active');
      expect(cluster.view().members.map(({ nodeId }) => nodeId)).toEqual([1, 2, 4, 5]);
    }
    const connections = (await leader()).cluster.view().members.map(({ connection }) => connection?.connected);
    expect(connections.filter((connected) => connected === true)).toHaveLength(3);
  }, 60_000);
});
