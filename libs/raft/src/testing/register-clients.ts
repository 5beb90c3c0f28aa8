import { randomInteger, randomItem, type Random } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';
import { HistoryRecorder, type OperationCall } from './history.js';
import type { OperationEnd, ProcessGroup } from './process-group.js';

/** a client that has waited so long goes on with something else; an answer that comes later still counts */
const clientPatienceMs = 300;
/** between two operations of a client, so that the machine is not busy with load alone */
const pauseMs = 10;
const keysPerRound = 3;

/**
 * Clients that read, write, compare-and-set and append over all nodes of a group, and write down what they saw. An
 * operation is sent once and never repeated.
 */
export class RegisterClients {
  private readonly recorder = new HistoryRecorder();
  private readonly keys = new Set<string>();
  private readonly seen = new Map<string, string | undefined>();
  private clients: Promise<void>[] = [];
  private processes = 0;
  private values = 0;
  private round = 0;
  private stopped = false;
  private acknowledged = 0;

  constructor(
    private readonly group: ProcessGroup,
    private readonly random: Random,
  ) {}

  start(count: number): void {
    this.clients = Array.from({ length: count }, () => this.run());
  }

  /** New keys, so that the history of each one stays short. */
  nextRound(): void {
    this.round++;
  }

  /** Mutations that were acknowledged so far. */
  get acknowledgedCount(): number {
    return this.acknowledged;
  }

  /** Waits for all clients to finish what they do. */
  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.clients);
  }

  /** Reads every key that was used, on some node, and again until that succeeds. */
  async readAll(): Promise<Map<string, string | undefined>> {
    const found = new Map<string, string | undefined>();
    for (const key of this.keys) {
      await this.group.until(async () => {
        const call = { process: ++this.processes, key, kind: 'read' } as const;
        const end = await this.operate(randomItem(this.random, this.group.nodeIds), call);
        if (end?.type === 'returned') found.set(key, end.answer.output);
        return end?.type === 'returned';
      }, `"${key}" can be read`);
    }
    return found;
  }

  history() {
    return this.recorder.history();
  }

  private async run(): Promise<void> {
    let process = ++this.processes;
    let likelyLeader: NodeId | undefined;
    while (!this.stopped) {
      const alive = this.group.alive;
      const everywhere =
        likelyLeader === undefined || !alive.includes(likelyLeader) || randomInteger(this.random, 1, 4) === 1;
      const nodeId = everywhere ? randomItem(this.random, alive) : likelyLeader!;
      const call = this.nextCall(process);
      const end = await this.operate(nodeId, call);
      if (end === undefined) process = ++this.processes; // the old one still waits for its answer
      likelyLeader = end?.type === 'refused' ? end.leaderId : end && nodeId;
      await new Promise((done) => setTimeout(done, pauseMs));
    }
  }

  /** Undefined when no answer came in time. */
  private async operate(nodeId: NodeId, call: OperationCall): Promise<OperationEnd | undefined> {
    const operation = this.recorder.called(call);
    return new Promise((done) => {
      const timer = setTimeout(() => done(undefined), clientPatienceMs);
      this.group.operate(nodeId, call, (end) => {
        clearTimeout(timer);
        if (end.type === 'refused') operation.refused();
        else {
          operation.returned(end.answer);
          if (call.kind === 'read' || call.kind === 'append') this.seen.set(call.key, end.answer.output);
          if (call.kind !== 'read') this.acknowledged++;
        }
        done(end);
      });
    });
  }

  private nextCall(process: number): OperationCall {
    const number = randomInteger(this.random, 1, keysPerRound);
    const isList = randomInteger(this.random, 0, 1) === 1;
    const key = `${isList ? 'list' : 'register'} ${this.round}.${number}`;
    this.keys.add(key);
    const input = String(++this.values);
    switch (randomItem(this.random, isList ? (['read', 'append'] as const) : (['read', 'write', 'cas'] as const))) {
      case 'read':
        return { process, key, kind: 'read' };
      case 'append':
        return { process, key, kind: 'append', input: `${input};` };
      case 'write':
        return { process, key, kind: 'write', input };
      case 'cas':
        return { process, key, kind: 'cas', expected: this.seen.get(key), input };
    }
  }
}
