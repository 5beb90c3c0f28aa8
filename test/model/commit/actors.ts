import { invariant } from '@concordat/foundation';
import {
  delegate,
  type BeginRecord,
  type BranchAddress,
  type CoordinatorMessage,
  type Decision,
  type LogRecord,
  type TransactionState,
  type Vote,
} from '@concordat/commit-protocol';
import { MachineTable, type Step } from '../machine-table.js';
import type { FieldTreatments } from '../machine-graph.js';
import type { BranchDatabase, DatabaseAnswer, DatabaseOperation } from './branch-database.js';
import type { BranchOutput, BranchProcess } from './branch-process.js';
import type { BranchReply, CoordinatorNode, LogReplica, NodeOutput } from './coordinator-node.js';
import type { CommitOptions } from './options.js';

const AT = Date.UTC(2026, 0, 1);
const DEADLINE = AT + 10_000;
const TRANSACTION_ID = idOf(0);

function idOf(branch: number): string {
  return `019b76da-a800-7000-8000-00000000000${branch}`;
}

const INCLINATIONS = ['yes', 'no', 'read-only'] as const satisfies readonly Vote[];

/** What machines never read back: counters of repetitions, times of records, sentences for people. */
const TREATMENTS: FieldTreatments = {
  attempt: 'ignored',
  workAttempt: 'ignored',
  decisionAttempt: 'ignored',
  resendAttempt: 'ignored',
  createTransaction: 'ignored', // how a node is built is no state of it
  effects: 'ignored', // of a participant: belongs to its next step
  at: 'presence',
  decidedAt: 'presence',
  endedAt: 'presence',
  cause: 'presence',
  pendingAbort: 'presence',
  error: 'presence',
  index: 'ignored', // of the log: fencing goes by the term
  logIndex: 'zero-or-more',
};

export type Message = CoordinatorMessage | BranchReply;

/** What a step of a machine means to the world: numbers of messages in the place of messages. */
export interface NodeEffect {
  readonly sent: readonly number[];
  /** number of the record that the log has taken with this step; -1 for none */
  readonly taken: number;
  readonly told: Decision | undefined;
  readonly alert: string | undefined;
  readonly refused: string | undefined;
}

export interface BranchEffect {
  readonly sent: readonly number[];
  readonly alert: string | undefined;
}

/** What a database did; nothing is told when the operation is late. */
export interface DatabaseEffect {
  readonly answer: DatabaseAnswer | undefined;
}

const NODE_EVENTS = ['begin', 'committed', 'proposal-failed', 'deadline', 'resend'] as const;
type NodeEvent = (typeof NODE_EVENTS)[number];

/** Things that are told apart by what they say, numbered from 0. */
class Catalogue<T extends object> {
  private readonly table = new MachineTable<T>(TREATMENTS);

  numberOf(item: T): number {
    return this.table.intern(item);
  }

  at(number: number): Readonly<T> {
    return this.table.at(number);
  }
}

/**
 * Everything in the two-phase world that has a state, by the number of that state, and what each does with what
 * happens to it. Behind the numbers are the real machines.
 */
export class Actors {
  readonly nodes = new MachineTable<CoordinatorNode, NodeEffect>(TREATMENTS);
  readonly logs = new MachineTable<LogReplica, undefined>(TREATMENTS);
  readonly processes = new MachineTable<BranchProcess, BranchEffect>(TREATMENTS);
  readonly databases = new MachineTable<BranchDatabase, DatabaseEffect>({});
  private readonly messages = new Catalogue<Message>();
  private readonly records = new Catalogue<LogRecord>();
  private readonly elected = new Map<number, Step<NodeEffect>>();
  private readonly addresses: readonly BranchAddress[];
  private readonly initialProcesses: readonly number[];
  private readonly inquiries: readonly number[];
  private readonly proposals: number[][] = [];
  private readonly begin: BeginRecord;

  constructor(private readonly options: CommitOptions) {
    this.addresses = Array.from({ length: options.branches }, (_, index) => ({
      transactionId: TRANSACTION_ID,
      branchId: idOf(index + 1),
      participant: `branch-${index + 1}`,
    }));
    const branches = this.addresses.map(({ branchId, participant }) => ({
      branchId,
      participant,
      operations: [{ operation: 'debit', payload: {}, keys: [] }],
    }));
    this.initialProcesses = this.addresses.map((address) =>
      this.processes.intern(options.parts.createProcess(address)),
    );
    this.inquiries = this.addresses.map((address) =>
      this.messages.numberOf({ type: 'inquiry', ...address, gid: address.branchId }),
    );
    const delegateTo = delegate(branches);
    this.begin = {
      type: 'begin',
      transactionId: TRANSACTION_ID,
      protocol: '2pc',
      branches,
      closed: true,
      at: AT,
      deadline: DEADLINE,
      metadata: {},
      ...(delegateTo !== undefined && { delegateTo }),
    };
  }

  initialLog(): number {
    return this.logs.intern(this.options.parts.createLog());
  }

  initialProcess(branch: number): number {
    return this.initialProcesses[branch] ?? -1;
  }

  initialDatabase(): number {
    return this.databases.intern(this.options.parts.createDatabase());
  }

  message(number: number): Readonly<Message> {
    return this.messages.at(number);
  }

  /** The index of the branch that a message is for, or comes from. */
  branchOf(message: Message): number {
    return this.addresses.findIndex(({ branchId }) => branchId === message.branchId);
  }

  branchId(branch: number): string {
    return this.addresses[branch]?.branchId ?? '';
  }

  /** The node that is elected over a log. */
  elect(log: number, term: number, late: boolean): Step<NodeEffect> {
    const key = (log * 64 + term) * 2 + (late ? 1 : 0);
    const known = this.elected.get(key);
    if (known) return known;
    const { parts } = this.options;
    const node = parts.createNode(this.logs.copyOf(log), term, TRANSACTION_ID, parts);
    const output = node.recover(nowOf(late));
    const step = { next: this.nodes.intern(node), output: this.nodeEffect(output) };
    this.elected.set(key, step);
    return step;
  }

  /** The transaction as a log has it. */
  transactionOf(log: number): Readonly<TransactionState> | undefined {
    return this.logs.at(log).state.find(TRANSACTION_ID);
  }

  /** What a node does when something other than a message happens to it. */
  nodeStep(node: number, event: NodeEvent, late: boolean): Step<NodeEffect> {
    const key = NODE_EVENTS.indexOf(event) * 2 + (late ? 1 : 0);
    return this.nodes.step(node, key, (machine) => {
      const now = nowOf(late);
      switch (event) {
        case 'begin':
          return this.nodeEffect(machine.begin(this.begin, now));
        case 'committed': {
          const [record] = machine.proposed;
          invariant(record, 'something was proposed');
          const taken = this.records.numberOf(record);
          return { ...this.nodeEffect(machine.committed(now)), taken };
        }
        case 'proposal-failed':
          return this.nodeEffect(machine.proposalFailed(now));
        case 'deadline':
          return this.nodeEffect(machine.deadline(now));
        case 'resend':
          return this.nodeEffect(machine.resend(now));
      }
    });
  }

  nodeReceives(node: number, message: number, leads: boolean, late: boolean): Step<NodeEffect> {
    const key = NODE_EVENTS.length * 2 + message * 4 + (leads ? 2 : 0) + (late ? 1 : 0);
    return this.nodes.step(node, key, (machine) =>
      this.nodeEffect(machine.receive(this.message(message) as BranchReply, leads, nowOf(late))),
    );
  }

  /** The log after it took a record. */
  append(log: number, record: number): number {
    return this.logs.step(log, record, (replica) => void replica.append(this.records.at(record))).next;
  }

  /** The number of the record that a node proposed in a place, from 0. */
  proposedRecord(node: number, place: number): number {
    const records = (this.proposals[node] ??= this.nodes
      .at(node)
      .proposed.map((record) => this.records.numberOf(record)));
    const record = records[place];
    invariant(record !== undefined, 'something was proposed');
    return record;
  }

  processReceives(process: number, message: number): Step<BranchEffect> {
    return this.processes.step(process, 16 + message, (machine) =>
      this.branchEffect(machine.receive(this.message(message) as CoordinatorMessage)),
    );
  }

  processAnswered(process: number, answer: DatabaseAnswer): Step<BranchEffect> {
    return this.processes.step(process, answerKey(answer), (machine) => this.branchEffect(machine.answered(answer)));
  }

  processUnanswered(process: number): Step<BranchEffect> {
    return this.processes.step(process, 0, (machine) => this.branchEffect(machine.unanswered()));
  }

  execute(database: number, operation: DatabaseOperation, inclination: Vote): Step<DatabaseEffect> {
    const key = OPERATIONS.indexOf(operation) * 4 + INCLINATIONS.indexOf(inclination);
    return this.databases.step(database, key, (machine) => ({ answer: machine.execute(operation, inclination) }));
  }

  abandon(database: number, operation: DatabaseOperation): number {
    return this.changed(database, 16 + OPERATIONS.indexOf(operation), (machine) => machine.abandon(operation));
  }

  settleLate(database: number, carriedOut: boolean): number {
    return this.changed(database, carriedOut ? 20 : 21, (machine) => machine.settleLate(carriedOut));
  }

  endByHand(database: number, decision: Decision): number {
    return this.changed(database, decision === 'commit' ? 22 : 23, (machine) => machine.endByHand(decision));
  }

  /** The inquiry that the sweeper of a branch sends. */
  inquiry(branch: number): number {
    return this.inquiries[branch] ?? -1;
  }

  private changed(database: number, key: number, change: (machine: BranchDatabase) => void): number {
    return this.databases.step(database, key, (machine) => {
      change(machine);
      return { answer: undefined };
    }).next;
  }

  private nodeEffect({ sent, alerts, told, refused }: NodeOutput): NodeEffect {
    return { sent: sent.map((message) => this.messages.numberOf(message)), taken: -1, told, alert: alerts[0], refused };
  }

  private branchEffect({ replies, alerts }: BranchOutput): BranchEffect {
    return { sent: replies.map((message) => this.messages.numberOf(message)), alert: alerts[0] };
  }
}

const OPERATIONS = ['prepare', 'one-phase', 'commit', 'abort'] as const satisfies readonly DatabaseOperation[];
const ENDS = ['committed', 'aborted', 'read-only', 'heuristic-rollback', 'heuristic-commit'] as const;

function answerKey(answer: DatabaseAnswer): number {
  switch (answer.type) {
    case 'voted':
      return 1 + INCLINATIONS.indexOf(answer.vote);
    case 'concluded':
      return 4 + ENDS.indexOf(answer.end);
    case 'ended':
      return 10 + ENDS.indexOf(answer.end);
  }
}

function nowOf(late: boolean): number {
  return late ? DEADLINE : AT;
}
