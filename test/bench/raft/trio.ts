import { rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePorts } from '../free-ports.js';
import { MemberProcess } from './member-process.js';
import type { MemberKind, MemberTls } from './process-protocol.js';

const MEMBERS = 3;
const POLL_MS = 5;
const PATIENCE_MS = 30_000;

export interface TrioOptions {
  readonly kind: MemberKind;
  /** emptied first */
  readonly directory: string;
  /** by id - 1; undefined: plain text */
  readonly tls?: readonly MemberTls[];
  readonly profileDirectory?: string;
  readonly samplesMemory?: boolean;
}

/** Three processes of a replicated log. */
export class Trio {
  private constructor(
    private readonly options: TrioOptions,
    private readonly processes: MemberProcess[],
  ) {}

  static async start(options: TrioOptions): Promise<Trio> {
    rmSync(options.directory, { recursive: true, force: true });
    const ports = await freePorts(MEMBERS);
    const processes = ports.map((_, position) => {
      const { kind, samplesMemory = false } = options;
      const tls = options.tls?.[position];
      const directory = path.join(options.directory, String(position + 1));
      return new MemberProcess(
        { kind, nodeId: position + 1, directory, ports, samplesMemory, ...(tls && { tls }) },
        options.profileDirectory,
      );
    });
    const trio = new Trio(options, processes);
    try {
      // the followers of the bound listen before its leader calls them
      await Promise.all(processes.slice(1).map((member) => member.start()));
      await processes[0]!.start();
      await trio.leader();
    } catch (error) {
      await trio.kill();
      throw error;
    }
    return trio;
  }

  get members(): readonly MemberProcess[] {
    return this.processes;
  }

  /** Waits until one leads and takes commands. */
  leader(): Promise<MemberProcess> {
    return this.until(async () => {
      for (const member of this.processes) {
        if ((await member.call('status', null)).leads) return member;
      }
      return undefined;
    }, 'a leader');
  }

  async follower(): Promise<MemberProcess> {
    const leader = await this.leader();
    return this.processes.find((member) => member !== leader)!;
  }

  /** Waits until every process has everything that the leader has committed. */
  async agree(): Promise<void> {
    const { commitIndex } = await (await this.leader()).call('status', null);
    await this.until(async () => {
      const all = await Promise.all(this.processes.map((member) => member.call('status', null)));
      return all.every(({ appliedIndex }) => appliedIndex >= commitIndex) ? true : undefined;
    }, `index ${commitIndex} everywhere`);
  }

  /** kill -9 of one, and its next life: a process that runs, but was not started yet. */
  async replace(member: MemberProcess): Promise<MemberProcess> {
    await member.kill();
    const next = new MemberProcess(member.options, this.options.profileDirectory);
    this.processes[this.processes.indexOf(member)] = next;
    return next;
  }

  async stop(): Promise<void> {
    await Promise.all(this.processes.map((member) => member.stop()));
  }

  private async kill(): Promise<void> {
    await Promise.all(this.processes.map((member) => member.kill()));
  }

  private async until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (performance.now() > deadline) {
        throw new Error(`${this.options.kind}: in vain waited ${PATIENCE_MS / 1000} s for ${what}`);
      }
      await delay(POLL_MS);
    }
  }
}
