/**
 * A node in a process of its own, for tests with real crashes: gRPC with mutual TLS, a directory, and registers as
 * its state machine. Whoever starts it talks to it in lines of JSON (see `process-protocol.ts`).
 */
import { createInterface } from 'node:readline';
import { SystemClock, SystemRandom, errorMessage, invariant } from '@concordat/foundation';
import { NotLeaderError, ProposalDroppedError, ProposalUnknownError } from '../driver/errors.js';
import { RaftNode } from '../driver/raft-node.js';
import { FileStorage } from '../storage/index.js';
import { GrpcTransport } from '../transport/index.js';
import type { OperationAnswer, OperationCall } from './history.js';
import type { NodeProcessReport, NodeProcessRequest, NodeProcessSettings } from './process-protocol.js';
import { RegisterMachine, commandOf } from './register-machine.js';

function report(line: NodeProcessReport): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : errorMessage(error)}\n`);
  process.exit(1);
}

class NodeProcess {
  private readonly machine = new RegisterMachine((state) => report({ type: 'checkpoint', ...state }));
  private readonly node: RaftNode<OperationAnswer>;

  constructor(settings: NodeProcessSettings) {
    const { nodeId, members, directory, clusterName, tls } = settings;
    const self = members.find((member) => member.nodeId === nodeId);
    invariant(self, 'a node is one of its members');
    this.node = new RaftNode<OperationAnswer>({
      nodeId,
      members,
      storage: new FileStorage({ directory, nodeId, clusterName, segmentSizeBytes: 256 * 1024 }),
      transport: new GrpcTransport({
        nodeId,
        clusterName,
        listenAddress: self.address,
        tls: { ca: Buffer.from(tls.ca), cert: Buffer.from(tls.cert), key: Buffer.from(tls.key) },
      }),
      stateMachine: this.machine,
      clock: new SystemClock(),
      random: new SystemRandom(),
      tickMs: settings.tickMs,
      electionTicks: settings.electionTicks,
      snapshotAfterEntries: settings.snapshotAfterEntries,
      onFatal: fail,
    });
    this.node.onStatusChange((status) => report({ type: 'status', status }));
  }

  async start(): Promise<void> {
    await this.node.start();
    report({ type: 'started' });
  }

  handle(request: NodeProcessRequest): void {
    switch (request.type) {
      case 'operation':
        void this.operate(request.id, request.call);
        break;
      case 'state': {
        const status = this.node.status();
        report({ type: 'state', id: request.id, state: this.machine.stateAt(status.appliedIndex), status });
        break;
      }
      case 'stop':
        this.node.stop().then(() => process.exit(0), fail);
        break;
    }
  }

  private async operate(id: number, call: OperationCall): Promise<void> {
    try {
      report({ type: 'returned', id, answer: await this.answer(call) });
    } catch (error) {
      if (error instanceof ProposalUnknownError) return; // the other end counts it as unknown until it hears of it
      if (error instanceof NotLeaderError) report({ type: 'refused', id, leaderId: error.leaderId });
      else if (error instanceof ProposalDroppedError) report({ type: 'refused', id, leaderId: undefined });
      else fail(error); // there is no fourth end
    }
  }

  private async answer(call: OperationCall): Promise<OperationAnswer> {
    if (call.kind === 'read') {
      await this.node.readIndex();
      return this.machine.read(call.key);
    }
    return (await this.node.propose(commandOf(call))).result;
  }
}

async function main(): Promise<void> {
  let running: NodeProcess | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    if (running) {
      running.handle(JSON.parse(line) as NodeProcessRequest);
    } else {
      running = new NodeProcess(JSON.parse(line) as NodeProcessSettings);
      running.start().catch(fail);
    }
  }
  process.exit(1); // whoever started it is gone
}

main().catch(fail);
