import { SeededRandom, VirtualClock, silentLogger, type JsonValue } from '@concordat/foundation';
import {
  branchError,
  type Acceptor,
  type BallotAnswer,
  type BallotRequest,
  type BranchError,
  type CoordinatorMessage,
  type Decision,
  type OpenedBallot,
  type OperationCall,
  type ParticipantMessage,
  type ProtocolMessage,
  type ReplyMessage,
} from '@concordat/commit-protocol';
import {
  REPLIES_TOPIC,
  decideTopic,
  prepareTopic,
  type MessageSender,
  type OutgoingMessage,
  type Subscription,
  type SubscriptionOptions,
} from '@concordat/messaging';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { ResourceManagerUnavailableError } from '../errors.js';
import { ParticipantRuntime } from '../participant-runtime.js';
import type { ParticipantLimits } from '../participant-runtime.types.js';
import type {
  BranchIdentity,
  BranchWork,
  HeldSession,
  HeldWork,
  OnePhaseResult,
  PreparedBranch,
  ResourceManager,
  VoteResult,
} from '../resource-manager.js';

export const id = (kind: string, n: number): string => `01890000-0000-7000-8000-${kind}${String(n).padStart(8, '0')}`;
export const address = (n: number) => ({
  transactionId: id('aaaa', n),
  branchId: id('bbbb', n),
  participant: 'bank-a',
});

/** The branches of transaction 1; the first is this participant's. */
export const ACCEPTORS: readonly Acceptor[] = [
  { branchId: id('bbbb', 1), participant: 'bank-a' },
  { branchId: id('bbbb', 2), participant: 'bank-b' },
  { branchId: id('bbbb', 3), participant: 'bank-c' },
];

/** A session that says what it was asked for; its last statements run until `drain` is settled. */
export class FakeHeldSession implements HeldSession<string> {
  readonly context = 'held context';
  readonly lost: Promise<BranchError>;
  lose: (reason: BranchError) => void = () => undefined;
  /** undefined: nothing is running */
  draining: Promise<void> | undefined;
  private stopWaiting: () => void = () => undefined;
  private readonly closed = new Promise<void>((resolve) => (this.stopWaiting = resolve));

  constructor(
    private readonly note: (verb: string) => void,
    readonly asked: BranchWork[] = [],
  ) {
    this.lost = new Promise((resolve) => (this.lose = resolve));
  }

  async prepare(branch: BranchWork, results: readonly JsonValue[]): Promise<VoteResult> {
    this.note('prepare held');
    this.asked.push(branch);
    const isCut = this.draining && (await Promise.race([this.draining, this.closed.then(() => true)]));
    if (isCut === true) return { vote: 'no', results: [], error: branchError('DATABASE_TIMEOUT', 'it was cut') };
    return { vote: 'yes', results };
  }

  async refuse(branch: BranchWork, error: BranchError): Promise<VoteResult> {
    this.asked.push(branch);
    this.note(`refuse held with ${error.code}`);
    return { vote: 'no', results: [], error };
  }

  async close(): Promise<void> {
    this.note('close held');
    this.stopWaiting();
  }
}

export type Work = (context: string) => Promise<readonly JsonValue[]>;

/** Says yes to everything; a branch whose work is `held` waits, as on a lock, until it is let go. */
export class FakeResourceManager implements ResourceManager<string> {
  readonly calls: string[] = [];
  readonly prepared: PreparedBranch[] = [];
  readonly works: BranchWork[] = [];
  readonly held = new Map<string, () => void>();
  readonly sessions = new Map<string, FakeHeldSession>();
  failing = false;
  /** somebody has rolled everything back by hand, or it was never there */
  isGone = false;
  ballotAnswer: 'refused' | 'unknown' | undefined;
  opened: OpenedBallot | undefined;
  /** a branch of which it says what no message takes */
  unsayable: string | undefined;

  constructor(private readonly holds: (branchId: string) => boolean = () => false) {}

  async prepare(branch: BranchWork, work: Work): Promise<VoteResult> {
    this.note('prepare', branch);
    this.works.push(branch);
    if (this.holds(branch.branchId)) await new Promise<void>((resolve) => this.held.set(branch.branchId, resolve));
    const results = await work('context');
    return { vote: 'yes', results: branch.branchId === this.unsayable ? [NaN] : results };
  }

  async hold(branch: HeldWork): Promise<HeldSession<string>> {
    this.note('hold', branch);
    const session = new FakeHeldSession((verb) => this.note(verb, branch));
    this.sessions.set(branch.branchId, session);
    return session;
  }

  async commitOnePhase(branch: BranchWork, work: Work): Promise<OnePhaseResult> {
    this.note('one-phase', branch);
    return { end: 'committed', results: await work('context') };
  }

  async commit(branch: BranchIdentity): Promise<'committed' | 'heuristic-rollback'> {
    this.note('commit', branch);
    return this.isGone ? 'heuristic-rollback' : 'committed';
  }

  async abort(branch: BranchIdentity): Promise<'aborted'> {
    this.note('abort', branch);
    return 'aborted';
  }

  async rollBack(branch: BranchIdentity): Promise<'aborted'> {
    this.note('roll back', branch);
    return 'aborted';
  }

  async answerBallot(branch: BranchIdentity, request: BallotRequest): Promise<BallotAnswer | 'refused' | 'unknown'> {
    this.note(`${request.type} ${request.ballot.round}`, branch);
    if (this.ballotAnswer) return this.ballotAnswer;
    return request.type === 'promise'
      ? { type: 'promised', ballot: request.ballot }
      : { type: 'accepted', ballot: request.ballot };
  }

  async openBallot(branch: BranchIdentity): Promise<OpenedBallot> {
    this.note('open', branch);
    return (
      this.opened ?? { type: 'opened', ballot: { round: 1, proposer: 1 }, accepted: undefined, acceptors: ACCEPTORS }
    );
  }

  async recordDecision(branch: BranchIdentity, decision: Decision): Promise<void> {
    this.note(`record ${decision}`, branch);
  }

  gidOf({ transactionId, branchId }: BranchIdentity): string {
    return `concordat:test:${transactionId}:${branchId}`;
  }

  async listPrepared(): Promise<readonly PreparedBranch[]> {
    return this.prepared;
  }

  private note(verb: string, { branchId }: BranchIdentity): void {
    this.calls.push(`${verb} ${Number(branchId.slice(-8))}`);
    if (this.failing) throw new ResourceManagerUnavailableError('the database is away');
  }
}

/** Has places for so many prepared branches, and says no to the next one, as PostgreSQL does. */
export class FullResourceManager extends FakeResourceManager {
  private readonly taken = new Set<string>();

  constructor(readonly maximumPrepared: number) {
    super();
  }

  override async prepare(branch: BranchWork, work: Work): Promise<VoteResult> {
    const vote = await super.prepare(branch, work);
    if (this.taken.size === this.maximumPrepared) {
      return { vote: 'no', results: [], error: branchError('PREPARED_TRANSACTIONS_EXHAUSTED', 'no place is left') };
    }
    this.taken.add(branch.branchId);
    return vote;
  }

  override async commit(branch: BranchIdentity): Promise<'committed' | 'heuristic-rollback'> {
    this.taken.delete(branch.branchId);
    return super.commit(branch);
  }
}

/** Takes a failure of the work for a refusal, as a real one does, and keeps it. */
export class RefusingResourceManager extends FakeResourceManager {
  readonly refusals: string[] = [];

  override async prepare(branch: BranchWork, work: Work): Promise<VoteResult> {
    return super
      .prepare(branch, work)
      .catch((error: unknown) => ({ vote: 'no', results: [], error: this.keep(error) }));
  }

  override async commitOnePhase(branch: BranchWork, work: Work): Promise<OnePhaseResult> {
    return super
      .commitOnePhase(branch, work)
      .catch((error: unknown) => ({ end: 'aborted', results: [], error: this.keep(error) }));
  }

  private keep(error: unknown): BranchError {
    const { code, message } = error as BranchError;
    this.refusals.push(`${code}: ${message}`);
    return branchError(code, message);
  }
}

export function fail(): never {
  throw new Error('foreign');
}

/** Counts the requests besides passing them on. */
export class CountingBus extends MemoryMessageBus {
  readonly requests: OutgoingMessage[][] = [];
  private readonly leaderListeners: (() => void)[] = [];
  private readonly subscribers: SubscriptionOptions['onMessage'][] = [];

  override async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    if (options.onNewLeader) this.leaderListeners.push(options.onNewLeader);
    this.subscribers.push(options.onMessage);
    return super.subscribe(options);
  }

  /** As from a bus that checks signatures. */
  deliverAs(sender: MessageSender, message: ProtocolMessage): void {
    for (const onMessage of this.subscribers) void onMessage(message, sender);
  }

  tellNewLeader(): void {
    for (const listener of this.leaderListeners) listener();
  }

  override async publish(messages: readonly OutgoingMessage[]): Promise<void> {
    this.requests.push([...messages]);
    return super.publish(messages);
  }
}

export async function turns(): Promise<void> {
  for (let n = 0; n < 50; n++) await Promise.resolve();
}

export async function createSystem(
  limits: Partial<ParticipantLimits> = {},
  resourceManager = new FakeResourceManager(),
  handle: (call: OperationCall) => Promise<unknown> = async ({ operation }) => `${operation} done`,
  lines: string[] = [],
) {
  const clock = new VirtualClock();
  const broker = new MemoryBroker({ clock, partitions: 1 });
  const bus = new CountingBus(broker, { cluster: 'test' });
  const coordinator = new MemoryMessageBus(broker, { cluster: 'test' });
  const heard: ReplyMessage[] = [];
  const reached: string[] = [];
  await Promise.all([bus.start(), coordinator.start()]);
  await coordinator.subscribe({
    group: 'coordinator',
    topics: [REPLIES_TOPIC],
    onMessage: (message) => void heard.push(message as ReplyMessage),
  });
  const runtime = new ParticipantRuntime<string>({
    participant: 'bank-a',
    instance: 'bank-a-1',
    resourceManager,
    bus,
    handlers: {
      operations: () => ['debit'],
      handle,
    },
    clock,
    random: new SeededRandom(1),
    logger: { ...silentLogger, warn: (line) => void lines.push(line), error: (line) => void lines.push(line) },
    failpoints: { hit: (name) => void reached.push(name) },
    limits,
  });
  const run = async (durationMs = 0): Promise<void> => {
    const until = clock.monotonic() + durationMs;
    await turns();
    for (let due = clock.nextDueAt(); due !== undefined && due <= until; due = clock.nextDueAt()) {
      clock.advance(due - clock.monotonic());
      await turns();
    }
    clock.advance(until - clock.monotonic());
    await turns();
  };
  const send = async (...messages: ParticipantMessage[]): Promise<void> => {
    const outgoing = messages.map((message) => {
      const isWork = message.type === 'prepare' || message.type === 'commit-one-phase';
      return { topic: isWork ? prepareTopic('bank-a') : decideTopic('bank-a'), message };
    });
    const sending = coordinator.publish(outgoing);
    await run(5);
    await sending;
  };
  await runtime.start();
  await run(5);
  heard.length = 0;
  bus.requests.length = 0;
  return { clock, bus, heard, reached, runtime, run, send, resourceManager };
}

export const operation: OperationCall = { operation: 'debit', payload: {}, keys: [] };
export const prepare = (n: number, term = 1): CoordinatorMessage => ({
  ...address(n),
  type: 'prepare',
  protocol: '2pc',
  operations: [operation],
  deadline: Date.UTC(2026, 0, 2),
  attempt: 0,
  epoch: { term, index: 1 },
});
export const decide = (n: number, decision: 'commit' | 'abort' = 'commit'): CoordinatorMessage => ({
  ...address(n),
  type: 'decision',
  decision,
  attempt: 0,
});

export const short = (message: ReplyMessage): string => {
  switch (message.type) {
    case 'vote':
      return `vote ${message.vote} ${Number(message.branchId.slice(-8))}`;
    case 'done':
      return `done ${message.end} ${Number(message.branchId.slice(-8))}`;
    default:
      return message.type;
  }
};
