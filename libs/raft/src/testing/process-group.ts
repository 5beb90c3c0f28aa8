import { spawn, type ChildProcess } from 'node:child_process';
import { join, resolve } from 'node:path';
import { invariant } from '@concordat/foundation';
import type { MemberDescription, NodeId } from '../core/types.js';
import type { RaftStatus } from '../driver/raft-node.types.js';
import { TestAuthority } from '../transport/testing/test-authority.js';
import { freePorts } from './free-ports.js';
import type { OperationAnswer, OperationCall } from './history.js';
import type { AppliedState, NodeProcessReport, NodeProcessRequest, NodeProcessSettings } from './process-protocol.js';

/** compiled by the build, as all programs that tests start */
const program = resolve(import.meta.dirname, '../../../../dist/libs/raft/src/testing/process-node.js');
const clusterName = 'process-test';
const pollMs = 5;
const patienceMs = 30_000;

/** How an operation ended, as far as it did. */
export type OperationEnd =
  | { readonly type: 'returned'; readonly answer: OperationAnswer }
  | { readonly type: 'refused'; readonly leaderId: NodeId | undefined };

type Waiting = (report: NodeProcessReport) => void;

/** One start of a node: from its process's birth to its death. */
class Life {
  started = false;
  paused = false;
  exited = false;
  /** lets the paused process go on when its input ends, be it because this process is gone */
  resumer: ChildProcess | undefined;
  status: RaftStatus | undefined;
  readonly waiting = new Map<number, Waiting>();

  constructor(readonly child: ChildProcess) {}

  write(line: NodeProcessRequest | NodeProcessSettings): void {
    this.child.stdin?.write(`${JSON.stringify(line)}\n`);
  }
}

/** What a group is started with. */
export interface ProcessGroupOptions {
  readonly size: number;
  /** an empty directory for what they store */
  readonly directory: string;
}

/**
 * A group of nodes in processes of their own, which can be killed, started again, paused and resumed. Whoever makes
 * one calls `end` in any case. Nodes are numbered from 1.
 *
 * It checks by itself that no two nodes ever report different logs up to the same index, that no process ends
 * unasked, and throws so from `check`.
 */
export class ProcessGroup {
  private readonly lives = new Map<NodeId, Life>();
  private readonly checkpoints = new Map<number, string>();
  private readonly faults: string[] = [];
  private readonly authority = TestAuthority.create();
  private nextId = 1;

  private constructor(
    private readonly directory: string,
    readonly members: readonly MemberDescription[],
  ) {}

  static async start({ size, directory }: ProcessGroupOptions): Promise<ProcessGroup> {
    const members: MemberDescription[] = [];
    for (const port of await freePorts(size))
      members.push({ nodeId: members.length + 1, address: `127.0.0.1:${port}`, data: '', priority: 0 });
    const group = new ProcessGroup(directory, members);
    for (const { nodeId } of members) group.launch(nodeId);
    return group;
  }

  get nodeIds(): NodeId[] {
    return this.members.map(({ nodeId }) => nodeId);
  }

  /** Nodes whose process lives, be it paused or just starting. */
  get alive(): NodeId[] {
    return this.nodeIds.filter((nodeId) => !this.life(nodeId).exited);
  }

  /** Nodes whose process runs, has started and is not paused. */
  get healthy(): NodeId[] {
    return this.nodeIds.filter((nodeId) => {
      const { started, paused, exited } = this.life(nodeId);
      return started && !paused && !exited;
    });
  }

  /** Among the healthy ones, the node that leads in the highest term and may act. */
  leader(): NodeId | undefined {
    const leaders = this.healthy.flatMap((nodeId) => this.life(nodeId).status ?? []);
    const ready = leaders.filter(({ leaderReady }) => leaderReady);
    return ready.sort((left, right) => right.term - left.term)[0]?.nodeId;
  }

  launch(nodeId: NodeId): void {
    const child = spawn(process.execPath, ['--enable-source-maps', program], { stdio: ['pipe', 'pipe', 'pipe'] });
    const life = new Life(child);
    this.lives.set(nodeId, life);
    let complaints = '';
    child.stderr.on('data', (chunk: Buffer) => (complaints = (complaints + chunk.toString()).slice(-4_096)));
    child.stdin.on('error', () => undefined); // the process was killed while it was written to; `exit` tells
    let unfinished = ''; // a line that a kill cut short stays here
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (unfinished + chunk).split('\n');
      unfinished = lines.pop() ?? '';
      for (const line of lines) this.receive(nodeId, life, JSON.parse(line) as NodeProcessReport);
    });
    child.once('exit', (code, signal) => {
      life.exited = true;
      if (code !== 0 && signal !== 'SIGKILL')
        this.faults.push(`node ${nodeId} ended by itself (${code ?? signal}): ${complaints}`);
    });
    const { ca, cert, key } = this.authority.issue({ clusterName, nodeId });
    life.write({
      nodeId,
      members: this.members,
      directory: join(this.directory, `node-${nodeId}`),
      clusterName,
      tls: { ca: ca.toString(), cert: cert.toString(), key: key.toString() },
      tickMs: 20,
      electionTicks: 10,
      snapshotAfterEntries: 500,
    });
  }

  /** kill -9; resolves when the process is gone. */
  async kill(nodeId: NodeId): Promise<void> {
    const life = this.life(nodeId);
    life.child.kill('SIGKILL');
    await until(() => life.exited, `node ${nodeId} is gone`);
  }

  /** SIGSTOP: the process does nothing, and its connections stay open. */
  pause(nodeId: NodeId): void {
    const life = this.life(nodeId);
    life.paused = true;
    life.status = undefined; // of the past when it goes on
    const command = ['-c', 'read line; kill -CONT "$0"', String(life.child.pid)];
    life.resumer = spawn('/bin/sh', command, { stdio: ['pipe', 'ignore', 'ignore'] });
    life.child.kill('SIGSTOP');
  }

  resume(nodeId: NodeId): void {
    const life = this.life(nodeId);
    life.resumer?.stdin?.end();
    life.paused = false;
  }

  /**
   * Asks a node for an operation. `onEnd` is called at most once, perhaps much later (a paused node answers when it
   * goes on), and never when the outcome stays unknown.
   */
  operate(nodeId: NodeId, call: OperationCall, onEnd: (end: OperationEnd) => void): void {
    this.request(
      nodeId,
      (id) => ({ type: 'operation', id, call }),
      (line) => {
        if (line.type === 'returned' || line.type === 'refused') onEnd(line);
      },
    );
  }

  /** What a node has applied, and its status. */
  state(nodeId: NodeId): Promise<{ readonly state: AppliedState; readonly status: RaftStatus }> {
    return new Promise((done) => {
      this.request(
        nodeId,
        (id) => ({ type: 'state', id }),
        (line) => {
          if (line.type === 'state') done(line);
        },
      );
    });
  }

  /** @throws Error when two logs differ or a process has ended by itself */
  check(): void {
    if (this.faults.length > 0) throw new Error(this.faults.join('\n'));
  }

  /** Waits for a condition, and gives up at once when `check` has something to say. */
  async until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const checked = (): boolean | Promise<boolean> => {
      this.check();
      return condition();
    };
    await until(checked, what, () => this.summary());
  }

  /** Ends all nodes as an operator would. @throws Error when one does not end well */
  async stop(): Promise<void> {
    for (const life of this.lives.values()) life.write({ type: 'stop' });
    await this.until(() => [...this.lives.values()].every(({ exited }) => exited), 'all nodes have stopped');
  }

  /** Leaves no process behind, whatever happened. */
  async end(): Promise<void> {
    for (const { child, exited, resumer } of this.lives.values()) {
      if (!exited) child.kill('SIGKILL');
      resumer?.stdin?.end();
    }
    await until(() => [...this.lives.values()].every(({ exited }) => exited), 'all processes have ended');
  }

  /** A line per node, as last heard. */
  private summary(): string {
    return this.nodeIds
      .map((nodeId) => {
        const { exited, paused, started, status } = this.life(nodeId);
        const state = exited ? 'ended' : paused ? 'paused' : started ? 'running' : 'starting';
        return status
          ? `node ${nodeId}: ${state}, ${status.role} of term ${status.term}, log to ${status.lastIndex}, committed to ${status.commitIndex}`
          : `node ${nodeId}: ${state}`;
      })
      .join('\n');
  }

  private life(nodeId: NodeId): Life {
    const life = this.lives.get(nodeId);
    invariant(life, 'the node belongs to the group');
    return life;
  }

  private request(nodeId: NodeId, make: (id: number) => NodeProcessRequest, onReport: Waiting): void {
    const id = this.nextId++;
    const life = this.life(nodeId);
    life.waiting.set(id, onReport);
    life.write(make(id));
  }

  private receive(nodeId: NodeId, life: Life, line: NodeProcessReport): void {
    switch (line.type) {
      case 'started':
        life.started = true;
        break;
      case 'status':
        if (!life.paused) life.status = line.status;
        break;
      case 'checkpoint': {
        const known = this.checkpoints.get(line.appliedIndex);
        if (known === undefined) this.checkpoints.set(line.appliedIndex, line.digest);
        else if (known !== line.digest)
          this.faults.push(`the log of node ${nodeId} differs from another's at or before index ${line.appliedIndex}`);
        break;
      }
      case 'returned':
      case 'refused':
      case 'state':
        life.waiting.get(line.id)?.(line);
        life.waiting.delete(line.id);
        break;
    }
  }
}

/** Looks again every few milliseconds. @throws Error after 30 s */
async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  summary: () => string = () => '',
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}\n${summary()}`);
    await new Promise((done) => setTimeout(done, pollMs));
  }
}
