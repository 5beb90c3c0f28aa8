import { randomChance, randomFraction, randomInteger, randomItem, type SeededRandom } from '@concordat/foundation';
import { NotLeaderError, ProposalDroppedError, ProposalUnknownError } from '../driver/errors.js';
import { HistoryRecorder, type OpenOperation } from '../testing/history.js';
import { encodeCommand, type KeyValueCommand, type KeyValueMachine } from './key-value-machine.js';
import { ProcessGoneError, type SimulatedNode } from './simulated-node.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

/** After this many operations other keys are used, which bounds the history of one key. */
const OPERATIONS_PER_EPOCH = 120;
const MAXIMUM_OUTSTANDING = 3;

/** All users of the group: their requests and answers. */
export class Clients {
  readonly history = new HistoryRecorder();
  private operations = 0;
  private reads = 0;
  private isIssuing = true;
  readonly outcomes = { committed: 0, refused: 0, unknown: 0, reads: 0 };
  /** operations without an answer */
  pending = 0;

  constructor(
    private readonly world: World,
    random: SeededRandom,
  ) {
    for (let number = 1; number <= world.profile.clients; number++) new Client(number, this, world, random.fork());
  }

  /** No new requests. */
  cease(): void {
    this.isIssuing = false;
  }

  get mayIssue(): boolean {
    return this.isIssuing;
  }

  randomKey(random: SeededRandom): string {
    const epoch = Math.floor((this.operations + this.reads) / OPERATIONS_PER_EPOCH);
    return this.keyOf(epoch, randomInteger(random, 1, this.world.profile.keys));
  }

  /** The keys in use now. */
  currentKeys(): string[] {
    const epoch = Math.floor((this.operations + this.reads) / OPERATIONS_PER_EPOCH);
    return Array.from({ length: this.world.profile.keys }, (_, position) => this.keyOf(epoch, position + 1));
  }

  private keyOf(epoch: number, number: number): string {
    return `${epoch}.${number}`;
  }

  /**
   * A linearizable read, through any member.
   *
   * @param viaLeader asks `confirmLeadership` instead, which only a leader grants
   * @returns whether it was answered
   */
  read(client: number, node: SimulatedNode, key: string, viaLeader: boolean): Promise<boolean> {
    this.reads++;
    const { ledger } = this.world;
    const leastIndex = ledger.acknowledgedIndex;
    const operation = this.history.called({ process: client, key, kind: 'read' });
    return this.await(
      node.invoke(async (raft, machine) => {
        const index = viaLeader ? undefined : await raft.readIndex();
        if (viaLeader) await raft.confirmLeadership();
        this.checkRead(node, machine, index ?? machine.appliedIndex, leastIndex);
        this.outcomes.reads++;
        operation.returned({ output: machine.get(key) });
      }),
      (error) => {
        if (!(error instanceof NotLeaderError) && !(error instanceof ProcessGoneError)) throw error;
        operation.refused();
      },
    );
  }

  private checkRead(node: SimulatedNode, machine: KeyValueMachine, index: number, leastIndex: number): void {
    if (machine.appliedIndex >= index && index >= leastIndex) return;
    throw new Violation(
      'read index',
      `node ${node.nodeId} lets a read pass at ${index} with ${machine.appliedIndex} applied; ` +
        `${leastIndex} was acknowledged before it began`,
    );
  }

  /** Proposes a change to a node that may lead or not. @returns whether it took effect */
  write(client: number, node: SimulatedNode, command: Omit<KeyValueCommand, 'operation'>): Promise<boolean> {
    const operation = ++this.operations;
    const open = this.open(client, command);
    return this.await(
      node.invoke(async (raft) => {
        const { index, result } = await raft.propose(encodeCommand({ ...command, operation }));
        this.outcomes.committed++;
        this.world.ledger.acknowledged(operation, index);
        open.returned(result);
      }),
      (error) => this.notCommitted(operation, open, error),
    );
  }

  private open(client: number, { kind, key, input, expected }: Omit<KeyValueCommand, 'operation'>): OpenOperation {
    const call = { process: client, key, input };
    return this.history.called(
      kind === 'cas' ? { ...call, kind, expected: expected ?? undefined } : { ...call, kind: kind },
    );
  }

  private notCommitted(operation: number, open: OpenOperation, error: unknown): void {
    if (error instanceof ProposalUnknownError) {
      this.outcomes.unknown++;
      return;
    }
    const isRefused = [NotLeaderError, ProposalDroppedError, ProcessGoneError].some((kind) => error instanceof kind);
    if (!isRefused) throw error;
    this.outcomes.refused++;
    this.world.ledger.refused(operation);
    open.refused();
  }

  private async await(answered: Promise<void>, onError: (error: unknown) => void): Promise<boolean> {
    this.pending++;
    try {
      await answered;
      return true;
    } catch (error) {
      try {
        onError(error);
      } catch (unforeseen) {
        this.world.violate(unforeseen);
      }
      return false;
    } finally {
      this.pending--;
    }
  }
}

/** One user: asks, thinks, asks again, and does not wait for the slowest of its answers. */
class Client {
  private outstanding = 0;
  private values = 0;

  constructor(
    private readonly number: number,
    private readonly clients: Clients,
    private readonly world: World,
    private readonly random: SeededRandom,
  ) {
    this.think();
  }

  private think(): void {
    const { thinkMs } = this.world.profile;
    this.world.later(thinkMs * 2 * randomFraction(this.random), () => {
      if (!this.clients.mayIssue) return;
      this.think();
      if (this.outstanding < MAXIMUM_OUTSTANDING) this.ask();
    });
  }

  private ask(): void {
    const { random, world, clients } = this;
    const nodes = world.upNodes();
    if (nodes.length === 0) return;
    const key = clients.randomKey(random);
    if (randomChance(random, world.profile.readShare) || world.readsOnly) {
      const viaLeader = randomChance(random, 0.2);
      const node = viaLeader || randomChance(random, 0.3) ? this.someLeader(nodes) : randomItem(random, nodes);
      return this.follow(clients.read(this.number, node, key, viaLeader));
    }
    const node = randomChance(random, 0.9) ? this.someLeader(nodes) : randomItem(random, nodes);
    for (let burst = randomChance(random, 0.15) ? randomInteger(random, 2, 6) : 1; burst > 0; burst--)
      this.follow(clients.write(this.number, node, this.newCommand(node, key)));
  }

  /** Any node that believes it leads: an old leader has users, too. */
  private someLeader(nodes: readonly SimulatedNode[]): SimulatedNode {
    const leaders = nodes.filter((node) => node.core?.role === 'leader');
    return randomItem(this.random, leaders.length > 0 ? leaders : nodes);
  }

  private newCommand(node: SimulatedNode, key: string): Omit<KeyValueCommand, 'operation'> {
    const input = `${this.number}.${++this.values} `;
    const known = node.machine?.get(key);
    const draw = randomInteger(this.random, 0, 9);
    if (draw < 4) return { kind: 'write', key, input: this.padded(input), expected: null };
    if (draw < 7) return { kind: 'cas', key, input, expected: known ?? null };
    // A long value is replaced.
    return { kind: (known?.length ?? 0) > 40 ? 'write' : 'append', key, input, expected: null };
  }

  private padded(input: string): string {
    const { paddingBytes } = this.world.profile;
    return paddingBytes > 0 ? input.padEnd(randomInteger(this.random, 0, paddingBytes), '.') : input;
  }

  private follow(answered: Promise<boolean>): void {
    this.outstanding++;
    void answered.finally(() => this.outstanding--);
  }
}
