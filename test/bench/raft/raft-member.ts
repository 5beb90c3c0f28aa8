import { createHash } from 'node:crypto';
import { SystemClock, SystemRandom } from '@concordat/foundation';
import { FileStorage, GrpcTransport, RaftNode, type NodeId, type StateMachine } from '@concordat/raft';
import {
  CLUSTER_NAME,
  type CompactionSample,
  type Member,
  type MemberOptions,
  type MemberStatus,
} from './process-protocol.js';

const MEBIBYTE = 2 ** 20;

/** A state of fixed size: each command replaces one of the cells, the one that its first four bytes choose. */
class CellMachine implements StateMachine<number> {
  static readonly cellBytes = 128;
  static readonly cells = 4_096;
  /** commands applied since the beginning of the log */
  commands = 0;
  private readonly state = Buffer.alloc(CellMachine.cells * CellMachine.cellBytes);

  apply(command: Uint8Array): number {
    const cell = (command[2]! * 256 + command[3]!) % CellMachine.cells;
    this.state.set(command, cell * CellMachine.cellBytes);
    return ++this.commands;
  }

  takeSnapshot(): Uint8Array {
    const snapshot = Buffer.allocUnsafe(8 + this.state.length);
    snapshot.writeDoubleBE(this.commands, 0);
    this.state.copy(snapshot, 8);
    return snapshot;
  }

  restoreSnapshot(data: Uint8Array): void {
    const snapshot = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    this.commands = snapshot.readDoubleBE(0);
    this.state.set(snapshot.subarray(8));
  }
}

/** Tells when entries were forgotten, which is when memory should be at its lowest. */
class ObservedStorage extends FileStorage {
  onCompacted: () => void = () => undefined;

  override async compact(index: number): Promise<void> {
    await super.compact(index);
    setImmediate(this.onCompacted); // the node forgets its entries right after the disk
  }
}

/** One of three real nodes: the library as its users have it, with all of its defaults. */
export class RaftMember implements Member {
  private readonly machine = new CellMachine();
  private readonly samples: CompactionSample[] = [];
  private readonly node: RaftNode<number>;

  constructor(options: MemberOptions) {
    const { nodeId, directory, ports, tls, samplesMemory = false } = options;
    const addressOf = (id: NodeId): string => `127.0.0.1:${ports[id - 1]}`;
    const members = ports.map((_, position) => position + 1);
    const storage = new ObservedStorage({ directory, nodeId, clusterName: CLUSTER_NAME });
    if (samplesMemory) storage.onCompacted = () => this.sample();
    this.node = new RaftNode<number>({
      nodeId,
      members: members.map((id) => ({ nodeId: id, address: addressOf(id), data: '', priority: 0 })),
      storage,
      transport: new GrpcTransport({
        nodeId,
        clusterName: CLUSTER_NAME,
        listenAddress: addressOf(nodeId),
        ...(tls && { tls: { ca: Buffer.from(tls.ca), cert: Buffer.from(tls.cert), key: Buffer.from(tls.key) } }),
      }),
      stateMachine: this.machine,
      clock: new SystemClock(),
      random: new SystemRandom(),
      onFatal: (error) => {
        process.stderr.write(`raft node ${nodeId}: ${error.message}\n`);
        process.exit(1);
      },
    });
  }

  start(): Promise<void> {
    return this.node.start();
  }

  status(): MemberStatus {
    const { leaderReady, appliedIndex, commitIndex } = this.node.status();
    return { leads: leaderReady, appliedIndex, commitIndex };
  }

  append(command: Uint8Array): Promise<unknown> {
    return this.node.propose(command);
  }

  read(): Promise<unknown> {
    return this.node.readIndex();
  }

  compactions(): readonly CompactionSample[] {
    return this.samples;
  }

  digest(): string {
    return createHash('sha256').update(this.machine.takeSnapshot()).digest('hex');
  }

  stop(): Promise<void> {
    return this.node.stop();
  }

  private sample(): void {
    globalThis.gc?.();
    globalThis.gc?.(); // buffers that the first one found dead are freed beside it, for certain before the second ends
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    this.samples.push({
      commands: this.machine.commands,
      heapMiB: heapUsed / MEBIBYTE,
      buffersMiB: arrayBuffers / MEBIBYTE,
    });
  }
}
