import { readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CalledProcess } from '../called-process.js';
import { freePorts } from '../free-ports.js';
import type { CallName, Calls, CoordinatorOptions, CoordinatorStatus } from './protocol.js';

const PROGRAM = path.resolve(import.meta.dirname, 'process-main.js');
const MEMBERS = 3;
const POLL_MS = 20;
const PATIENCE_MS = 120_000;

/** A coordinator's process, from the benchmark's side. */
export class CoordinatorProcess extends CalledProcess<CallName, Calls> {
  constructor(
    readonly options: CoordinatorOptions,
    readonly execArgv: readonly string[],
  ) {
    super({ name: `coordinator-${options.nodeId}`, program: PROGRAM, execArgv });
  }

  get url(): string {
    return `http://127.0.0.1:${this.options.httpPorts[this.options.nodeId - 1]}`;
  }

  async start(): Promise<void> {
    await this.call('start', this.options);
  }

  status(): Promise<CoordinatorStatus> {
    return this.call('status', null);
  }

  async stop(): Promise<void> {
    await this.end('stop');
  }

  /** The newest durable snapshot of the node, by name; an empty text when there is none. */
  newestSnapshot(): string {
    const names = readdirSync(this.options.directory).filter((name) => name.endsWith('.snapshot'));
    return names.sort().at(-1) ?? '';
  }

  /** Of the newest snapshot. */
  snapshotBytes(): number {
    return statSync(path.join(this.options.directory, this.newestSnapshot())).size;
  }
}

/** Three coordinators of one group. */
export class CoordinatorGroup {
  private constructor(private readonly processes: CoordinatorProcess[]) {}

  /** @param directory of the data of all; emptied first */
  static async start(directory: string, execArgv: readonly string[]): Promise<CoordinatorGroup> {
    rmSync(directory, { recursive: true, force: true });
    const ports = await freePorts(2 * MEMBERS);
    const [raftPorts, httpPorts] = [ports.slice(0, MEMBERS), ports.slice(MEMBERS)];
    const processes = raftPorts.map((_, at) => {
      const options = { nodeId: at + 1, directory: path.join(directory, String(at + 1)), raftPorts, httpPorts };
      return new CoordinatorProcess(options, execArgv);
    });
    const group = new CoordinatorGroup(processes);
    try {
      await Promise.all(processes.map((one) => one.start()));
      await group.leader();
    } catch (error) {
      await group.kill();
      throw error;
    }
    return group;
  }

  get members(): readonly CoordinatorProcess[] {
    return this.processes;
  }

  /** Waits until one leads and is ready. */
  leader(): Promise<CoordinatorProcess> {
    return until(async () => {
      for (const member of this.processes) {
        const status = await member.status().catch(() => undefined); // it may have been killed
        if (status?.leads && status.ready) return member;
      }
      return undefined;
    }, 'a leader');
  }

  async follower(): Promise<CoordinatorProcess> {
    const leader = await this.leader();
    return this.processes.find((member) => member !== leader)!;
  }

  /** The next life of one that was killed; its process runs, but was not told to start. */
  revive(member: CoordinatorProcess): CoordinatorProcess {
    const next = new CoordinatorProcess(member.options, member.execArgv);
    this.processes[this.processes.indexOf(member)] = next;
    return next;
  }

  async stop(): Promise<void> {
    await Promise.all(this.processes.map((member) => member.stop()));
  }

  private async kill(): Promise<void> {
    await Promise.all(this.processes.map((member) => member.kill()));
  }
}

export async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`in vain waited ${PATIENCE_MS / 1000} s for ${what}`);
    await delay(POLL_MS);
  }
}
