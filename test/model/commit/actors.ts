import { invariant } from '@concordat/foundation';
import {
  delegate,
  type BeginRecord,
  type BranchAddress,
  type Decision,
  type LogRecord,
  type ParticipantMessage,
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
  waiting: 'ordered', // requests of one branch: each in its turn
};

export type Message = ParticipantMessage | BranchReply;

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

/** What a database did: the number of its answer; -1 when nothing is told, because the operation is late. */
export interface DatabaseEffect {
  readonly answer: number;
}

/** Events of a database that are no operation have the numbers below. */
const FIRST_OPERATION = 6;

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
  private readonly operations = new Catalogue<DatabaseOperation>();
  private readonly operationsInHand: number[] = []; // by process
  private readonly answers = new Catalogue<DatabaseAnswer>();
  private readonly messages = new Catalogue<Message>();
  private readonly records = new Catalogue<LogRecord>();
  private readonly elected = new Map<number, Step<NodeEffect>>();
  private readonly addresses: readonly BranchAddress[];
  private readonly initialProcesses: readonly number[];
  private readonly initialDatabases: readonly number[];
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
    this.initialDatabases = this.addresses.map((_, place) =>
      this.databases.intern(options.parts.createDatabase(place, branches)),
    );
    this.inquiries = this.addresses.map((address) =>
      this.messages.numberOf({ type: 'inquiry', ...address, gid: address.branchId }),
    );
    const delegateTo = delegate(branches);
    this.begin = {
      type: 'begin',
      transactionId: TRANSACTION_ID,
      protocol: options.protocol,
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

  initialDatabase(branch: number): number {
    return this.initialDatabases[branch] ?? -1;
  }

  message(number: number): Readonly<Message> {
    return this.messages.at(number);
  }

  /** The index of the branch that a message names. */
  branchOf(message: Message): number {
    return this.placeOf(message.branchId);
  }

  /** The index of the branch that a message is for; -1 if it is for the coordinators. */
  addresseeOf(message: Message): number {
    switch (message.type) {
      case 'vote':
      case 'done':
      case 'inquiry':
      case 'branches-decided':
        return -1;
      case 'ballot-answer':
        return message.proposer ? this.placeOf(message.proposer.branchId) : -1;
      default:
        return this.placeOf(message.branchId);
    }
  }

  /** Whether a message is for the coordinators. */
  isReply(message: number): boolean {
    return this.addresseeOf(this.message(message)) < 0;
  }

  /** The index of a branch by its id. */
  placeOf(branch: string): number {
    return this.addresses.findIndex(({ branchId }) => branchId === branch);
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
    return this.processes.step(process, 2 + 2 * message, (machine) =>
      this.branchEffect(machine.receive(this.message(message) as ParticipantMessage)),
    );
  }

  processAnswered(process: number, answer: number): Step<BranchEffect> {
    return this.processes.step(process, 3 + 2 * answer, (machine) =>
      this.branchEffect(machine.answered(this.answers.at(answer))),
    );
  }

  processUnanswered(process: number): Step<BranchEffect> {
    return this.processes.step(process, 0, (machine) => this.branchEffect(machine.unanswered()));
  }

  processWaitedTooLong(process: number): Step<BranchEffect> {
    return this.processes.step(process, 1, (machine) => this.branchEffect(machine.terminationDue()));
  }

  /** A database does what a process has in hand. */
  execute(database: number, process: number, inclination: Vote): Step<DatabaseEffect> {
    const operation = this.operationInHand(process);
    return this.databases.step(
      database,
      FIRST_OPERATION + operation * 4 + INCLINATIONS.indexOf(inclination),
      (machine) => {
        const answer = machine.execute(this.operations.at(operation), inclination);
        return { answer: this.answers.numberOf(answer) };
      },
    );
  }

  /** What a process had in hand may still be carried out, or not. */
  abandon(database: number, process: number): number {
    const operation = this.operationInHand(process);
    const key = FIRST_OPERATION + operation * 4 + INCLINATIONS.length;
    return this.changed(database, key, (machine) => machine.abandon(this.operations.at(operation)));
  }

  settleLate(database: number, carriedOut: boolean): number {
    return this.changed(database, carriedOut ? 0 : 1, (machine) => machine.settleLate(carriedOut));
  }

  endByHand(database: number, decision: Decision): number {
    return this.changed(database, decision === 'commit' ? 2 : 3, (machine) => machine.endByHand(decision));
  }

  forget(database: number, isNoticed: boolean): number {
    return this.changed(database, isNoticed ? 4 : 5, (machine) => machine.forget(isNoticed));
  }

  /** The inquiry that the sweeper of a branch sends. */
  inquiry(branch: number): number {
    return this.inquiries[branch] ?? -1;
  }

  private changed(database: number, key: number, change: (machine: BranchDatabase) => void): number {
    return this.databases.step(database, key, (machine) => {
      change(machine);
      return { answer: -1 };
    }).next;
  }

  private operationInHand(process: number): number {
    const known = this.operationsInHand[process];
    if (known !== undefined) return known;
    const { inHand } = this.processes.at(process);
    invariant(inHand, 'something is in hand');
    return (this.operationsInHand[process] = this.operations.numberOf(inHand));
  }

  private nodeEffect({ sent, alerts, told, refused }: NodeOutput): NodeEffect {
    // that a transaction is undecided keeps timers from firing, which fire at any time here
    const heard = sent.filter(({ type }) => type !== 'undecided');
    return {
      sent: heard.map((message) => this.messages.numberOf(message)),
      taken: -1,
      told,
      alert: alerts[0],
      refused,
    };
  }

  private branchEffect({ sent, alerts }: BranchOutput): BranchEffect {
    return { sent: sent.map((message) => this.messages.numberOf(message)), alert: alerts[0] };
  }
}

function nowOf(late: boolean): number {
  return late ? DEADLINE : AT;
}
