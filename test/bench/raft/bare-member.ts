import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { BareFollower, BareLeader } from './bare-log.js';
import type { CompactionSample, Member, MemberOptions, MemberStatus } from './process-protocol.js';

/** One of the three processes of the bound. Whatever fails ends it: the bound survives nothing. */
export class BareMember implements Member {
  private leader: BareLeader | undefined;
  private follower: BareFollower | undefined;
  private stopping = false;

  constructor(private readonly options: MemberOptions) {}

  async start(): Promise<void> {
    const { nodeId, directory, ports } = this.options;
    mkdirSync(directory, { recursive: true });
    const file = path.join(directory, 'log');
    if (nodeId === 1) {
      this.leader = new BareLeader(file, (error) => this.fail(error));
      for (const port of ports.slice(1)) await this.leader.connect(port);
    } else {
      this.follower = new BareFollower(file, (error) => this.fail(error));
      await this.follower.listen(ports[nodeId - 1]!);
    }
  }

  status(): MemberStatus {
    const index = this.leader?.committedIndex ?? this.follower?.durableIndex ?? 0;
    return { leads: this.leader !== undefined, appliedIndex: index, commitIndex: index };
  }

  append(command: Uint8Array): Promise<number> {
    if (!this.leader) return Promise.reject(new Error('process 1 leads'));
    return this.leader.append(command);
  }

  read(): Promise<never> {
    return Promise.reject(new Error('the bound has nothing to read'));
  }

  compactions(): readonly CompactionSample[] {
    return [];
  }

  digest(): string {
    return '';
  }

  stop(): Promise<void> {
    this.stopping = true;
    this.leader?.close();
    this.follower?.close();
    return Promise.resolve();
  }

  private fail(error: Error): void {
    if (this.stopping) return;
    process.stderr.write(`bare log, process ${this.options.nodeId}: ${error.message}\n`);
    process.exit(1);
  }
}
