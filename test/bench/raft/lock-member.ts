import type { ApplyResult } from '@concordat/commit-protocol';
import { SystemClock, SystemRandom } from '@concordat/foundation';
import { FileStorage, GrpcTransport, RaftNode, type NodeId } from '@concordat/raft';
import { CompressedEndedTransactions, Locks, RaftDecisionLog } from '../../../apps/coordinator/src/index.js';
import {
  CLUSTER_NAME,
  type CompactionSample,
  type Member,
  type MemberOptions,
  type MemberStatus,
} from './process-protocol.js';

const TTL_MS = 30_000;

/** One of three real nodes with the decision log and the locks of a coordinator, and without its REST interface. */
export class LockMember implements Member {
  private readonly log = new RaftDecisionLog(new CompressedEndedTransactions());
  private readonly node: RaftNode<ApplyResult>;
  private readonly locks: Locks;
  private taken = 0;

  constructor({ nodeId, directory, ports }: MemberOptions) {
    const clock = new SystemClock();
    const addressOf = (id: NodeId): string => `127.0.0.1:${ports[id - 1]}`;
    const members = ports.map((_, position) => ({ nodeId: position + 1, address: addressOf(position + 1) }));
    this.node = new RaftNode<ApplyResult>({
      nodeId,
      members: members.map((member) => ({ ...member, data: '', priority: 0 })),
      storage: new FileStorage({ directory, nodeId, clusterName: CLUSTER_NAME }),
      transport: new GrpcTransport({ nodeId, clusterName: CLUSTER_NAME, listenAddress: addressOf(nodeId) }),
      stateMachine: this.log.stateMachine,
      clock,
      random: new SystemRandom(),
      lazyFollowers: true, // as a coordinator
      onFatal: (error) => {
        process.stderr.write(`node ${nodeId}: ${error.message}\n`);
        process.exit(1);
      },
    });
    this.log.attach(this.node);
    this.locks = new Locks({ log: this.log, clock });
    const found = (): void => {
      if (!this.log.leadership().epoch || this.log.state.bornAt !== undefined) return;
      this.log.append({ type: 'group-born', at: clock.now() }).catch(() => undefined); // another one leads by now
    };
    this.log.onLeadership(found);
  }

  start(): Promise<void> {
    return this.node.start();
  }

  status(): MemberStatus {
    const { leaderReady, appliedIndex, commitIndex } = this.node.status();
    return { leads: leaderReady && this.log.state.bornAt !== undefined, appliedIndex, commitIndex };
  }

  /** Takes a lock of its own, and gives it back: two records. */
  async append(): Promise<void> {
    const wanted = { name: `bench-${this.taken++ % 1_000}`, owner: 'bench-worker-1' };
    const { fencingToken } = await this.locks.acquire({ ...wanted, ttlMs: TTL_MS, waitMs: 0 });
    await this.locks.release({ ...wanted, fencingToken });
  }

  read(): Promise<unknown> {
    return this.node.readIndex();
  }

  compactions(): readonly CompactionSample[] {
    return [];
  }

  digest(): string {
    return JSON.stringify(this.log.state.takeSnapshot());
  }

  async stop(): Promise<void> {
    await this.node.stop();
    this.locks.stop();
  }
}
