#!/usr/bin/env node
/** Starts the replicated key-value store: three processes on this machine, and looks after them. */
import { fork, type ChildProcess } from 'node:child_process';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { errorMessage } from '@concordat/foundation';

const help = `Runs a replicated key-value store: three processes on this machine, until Ctrl-C.

  --data       directory for what they store, default .concordat/raft-example; the next start goes on from there
  --base-port  nodes are at http://127.0.0.1:<base-port + 1, 2, 3> and talk to each other at 10 above, default 7300
  --help       this text
`;
const nodeIds = [1, 2, 3];
const restartDelayMs = 3_000;

interface Cluster {
  readonly children: Map<number, ChildProcess>;
  /** of the nodes that are going to be started again */
  readonly timers: Map<number, NodeJS.Timeout>;
  stopping: boolean;
}

function start(cluster: Cluster, nodeId: number, directory: string, members: readonly string[]): void {
  const child = fork(join(import.meta.dirname, 'kv-node.js'), [
    ...['--id', String(nodeId), '--data', join(directory, `node-${nodeId}`)],
    ...members.flatMap((member) => ['--member', member]),
  ]);
  cluster.children.set(nodeId, child);
  child.once('exit', (code, signal) => {
    cluster.children.delete(nodeId);
    if (cluster.stopping) return;
    if (code !== null) {
      process.exitCode = 1; // it has said why, and would say it again
      stop(cluster);
      return;
    }
    console.log(
      `node ${nodeId} was ended by ${signal}; the others go on, and it starts again in ${restartDelayMs / 1000} s`,
    );
    const again = (): void => start(cluster, nodeId, directory, members);
    cluster.timers.set(nodeId, setTimeout(again, restartDelayMs));
  });
}

/** The process ends by itself when the last child is gone. */
function stop(cluster: Cluster): void {
  cluster.stopping = true;
  for (const timer of cluster.timers.values()) clearTimeout(timer);
  for (const child of cluster.children.values()) child.kill('SIGTERM');
}

function main(): void {
  const { values } = parseArgs({
    options: {
      data: { type: 'string', default: '.concordat/raft-example' },
      'base-port': { type: 'string', default: '7300' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(help);
  const basePort = Number(values['base-port']);
  if (!Number.isInteger(basePort) || basePort < 1 || basePort > 65_000)
    throw new Error('--base-port is a number from 1 to 65000');
  const urlOf = (nodeId: number): string => `http://127.0.0.1:${basePort + nodeId}`;
  const members = nodeIds.map((nodeId) => `${nodeId},127.0.0.1:${basePort + 10 + nodeId},${urlOf(nodeId)}`);

  const cluster: Cluster = { children: new Map(), timers: new Map(), stopping: false };
  process.on('SIGINT', () => stop(cluster)).on('SIGTERM', () => stop(cluster));
  for (const nodeId of nodeIds) start(cluster, nodeId, resolve(values.data), members);
  console.log(`Three nodes are starting; their data are in ${values.data}. Try:

  curl -L -X PUT ${urlOf(1)}/keys/greeting -d hello     (-L: a follower sends you to the leader)
  curl ${urlOf(2)}/keys/greeting
  curl ${urlOf(3)}/status

Kill one with kill -9 and go on reading and writing. Ctrl-C ends all.
`);
}

try {
  main();
} catch (error) {
  console.error(`raft-example: ${errorMessage(error)}`);
  process.exit(2);
}
