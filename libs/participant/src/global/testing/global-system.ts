import {
  SeededRandom,
  SystemClock,
  UuidV7Generator,
  type Clock,
  type Logger,
  type Tracing,
} from '@concordat/foundation';
import type { BranchError, BranchId, TransactionId } from '@concordat/commit-protocol';
import type { PostgresContext } from '../../postgres/index.js';
import { ContextCodec } from '../context-header.js';
import { GlobalTransactions } from '../global-transactions.js';
import { DestinationList, type Destination } from '../options.js';
import type {
  BeginRequest,
  BranchEnlistment,
  BranchSession,
  BranchSessions,
  CommitAnswer,
  GlobalCoordinators,
  HeldEnlistment,
  SessionRequest,
} from '../ports.js';

export const KEY = 'a key of the cluster for the tests';

type End = Awaited<BranchSession['ended']>;

/** An error as the server of a database sends it. */
export class FakeDatabaseError extends Error {
  readonly severity = 'ERROR';

  constructor(
    readonly code: string,
    message = `the database says ${code}`,
  ) {
    super(message);
  }
}

/**
 * A session of a database that is a set of words: `add <word>`, `fail <sqlstate>`, and savepoints as PostgreSQL has
 * them, with the state in which everything but a rollback is refused.
 */
export class FakeSession implements BranchSession {
  readonly context: PostgresContext;
  readonly ended: Promise<End>;
  readonly statements: string[] = [];
  doomed: BranchError | undefined;
  words: string[] = [];
  private readonly saved: { name: string; words: string[] }[] = [];
  private isFailed = false;
  private end: (end: End) => void = () => undefined;
  private state: 'open' | 'voted' | 'closed' = 'open';
  /** statements wait for it */
  gate: Promise<void> = Promise.resolve();

  constructor(
    readonly database: Set<string>,
    readonly branchId: BranchId,
    readonly request: SessionRequest,
  ) {
    this.ended = new Promise((resolve) => (this.end = resolve));
    const query = async (text: string | { text: string }): Promise<unknown> => {
      await this.gate;
      return this.execute(typeof text === 'string' ? text : text.text);
    };
    this.context = { client: { query } } as unknown as PostgresContext;
  }

  doom(error: BranchError): void {
    this.doomed ??= error;
  }

  async rollBack(error: BranchError): Promise<void> {
    if (this.state !== 'open') return;
    this.doomed ??= error;
    this.close('aborted');
  }

  async prepare(): Promise<{ vote: 'yes' | 'no' | 'read-only'; error?: BranchError }> {
    if (this.state === 'voted') return { vote: 'yes' };
    if (this.isFailed) this.doomed ??= { code: 'TRANSACTION_FAILED', message: 'a statement failed' };
    if (this.doomed || this.state === 'closed') {
      this.close('aborted');
      return { vote: 'no', error: this.doomed ?? { code: 'SESSION_LOST', message: 'it is gone' } };
    }
    this.state = 'voted';
    this.end('prepared');
    return { vote: 'yes' };
  }

  /** By the decision. */
  commit(): void {
    for (const word of this.words) this.database.add(word);
  }

  close(end: End): void {
    if (this.state === 'open') this.end(end);
    this.state = 'closed';
  }

  private execute(text: string): { rows: string[] } {
    this.statements.push(text);
    if (this.state !== 'open') throw new Error('the session has ended');
    for (const statement of text.split('; ')) this.one(statement);
    return { rows: [...this.words] };
  }

  private one(statement: string): void {
    const [verb, ...rest] = statement.split(' ');
    const word = rest.join(' ');
    if (verb === 'ROLLBACK') return this.rollBackTo(rest.at(-1)!);
    if (this.isFailed) throw new FakeDatabaseError('25P02');
    if (verb === 'add') this.words.push(word);
    else if (verb === 'SAVEPOINT') this.saved.push({ name: word, words: [...this.words] });
    else if (verb === 'RELEASE') this.saved.splice(this.indexOf(rest.at(-1)!));
    else if (verb === 'fail') {
      this.isFailed = true;
      throw new FakeDatabaseError(word);
    }
  }

  private rollBackTo(name: string): void {
    const index = this.indexOf(name);
    this.words = [...this.saved[index]!.words];
    this.saved.splice(index + 1);
    this.isFailed = false;
  }

  private indexOf(name: string): number {
    const index = this.saved.findIndex((one) => one.name === name);
    if (index < 0) throw new FakeDatabaseError('3B001', `there is no savepoint ${name}`);
    return index;
  }
}

/** One process of a service. */
export class FakeService implements BranchSessions {
  readonly instance: string;
  readonly database = new Set<string>();
  readonly sessions: FakeSession[] = [];
  readonly transactions: GlobalTransactions;
  /** the statements of sessions that are opened from now on wait for it */
  gate: Promise<void> = Promise.resolve();
  /** thrown by the next `hold` */
  nextHoldFails: Error | undefined;

  constructor(
    private readonly system: GlobalSystem,
    readonly participant: string,
    options: ServiceOptions = {},
  ) {
    this.instance = `${participant}-1`;
    this.transactions = new GlobalTransactions(
      {
        participant,
        propagateTo: new DestinationList(options.propagateTo ?? []),
        waitFor: 'decided',
        outcomeLimitMs: options.outcomeLimitMs ?? 1_000,
      },
      {
        coordinators: system,
        sessions: this,
        clock: system.clock,
        logger: system.logger,
        random: new SeededRandom(7),
        codec: new ContextCodec(KEY),
        newBranchId: () => system.ids.next(),
        isAddressable: options.isAddressable ?? true,
        mayNameOthers: options.mayNameOthers ?? true,
        ...(options.tracing && { tracing: options.tracing }),
      },
    );
  }

  async hold(request: SessionRequest): Promise<BranchSession> {
    if (this.nextHoldFails) {
      const error = this.nextHoldFails;
      this.nextHoldFails = undefined;
      throw error;
    }
    const session = new FakeSession(this.database, request.branchId, request);
    session.gate = this.gate;
    this.sessions.push(session);
    return session;
  }

  get words(): string[] {
    return [...this.database].sort();
  }
}

export interface ServiceOptions {
  readonly propagateTo?: readonly (string | Destination)[];
  readonly isAddressable?: boolean;
  readonly outcomeLimitMs?: number;
  readonly mayNameOthers?: boolean;
  readonly tracing?: Tracing;
}

interface FakeTransaction {
  readonly deadline: number;
  readonly invitation: string | undefined;
  readonly branches: BranchEnlistment[];
  answer: CommitAnswer | undefined;
}

/** Coordinators in memory that ask the sessions to prepare, and the services. They take nobody who is not invited. */
export class GlobalSystem implements GlobalCoordinators {
  readonly clock: Clock = new SystemClock();
  readonly lines: string[] = [];
  readonly logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: (line) => void this.lines.push(line),
    error: (line) => void this.lines.push(line),
  };
  readonly ids = new UuidV7Generator(() => this.clock.now(), new SeededRandom(1));
  readonly begun = new Map<TransactionId, FakeTransaction>();
  readonly requests: BeginRequest[] = [];
  readonly services: FakeService[] = [];
  /** the answer to the next commit is lost after (or before) it takes effect */
  nextCommitIsLost: 'after' | 'before' | undefined;
  enlistFails: Error | undefined;
  commitFails: Error | undefined;
  /** requests to enlist */
  enlistments = 0;
  /** transactions are begun by their commits, and unknown before, until somebody asks for it */
  beginsLate = false;
  private readonly unknown = new Set<TransactionId>();
  /** requests to begin a transaction before its commit */
  earlyBegins = 0;
  /** requests to abort */
  aborts = 0;
  /** no coordinator answers questions */
  isSilent = false;

  service(participant: string, options: ServiceOptions = {}): FakeService {
    const service = new FakeService(this, participant, options);
    this.services.push(service);
    return service;
  }

  async begin(request: BeginRequest): Promise<{ transactionId: TransactionId; deadline: number }> {
    const transactionId = this.ids.next();
    const deadline = this.clock.now() + request.timeoutMs;
    this.requests.push(request);
    this.begun.set(transactionId, { deadline, invitation: request.invitation, branches: [], answer: undefined });
    if (this.beginsLate) this.unknown.add(transactionId);
    return { transactionId, deadline };
  }

  known(transactionId: TransactionId): Promise<void> | undefined {
    return this.unknown.has(transactionId) ? this.ensure(transactionId) : undefined;
  }

  async ensure(transactionId: TransactionId): Promise<void> {
    if (this.unknown.delete(transactionId)) this.earlyBegins++;
  }

  async enlist(transactionId: TransactionId, branch: BranchEnlistment, invitation?: string): Promise<void> {
    if (this.enlistFails) throw this.enlistFails;
    const transaction = this.unknown.has(transactionId) ? undefined : this.begun.get(transactionId);
    refuseUninvited(transaction, invitation);
    if (!transaction || transaction.answer) {
      throw Object.assign(new Error('the transaction is decided'), { code: 'TRANSACTION_DECIDED' });
    }
    this.enlistments++;
    this.add(transaction, [branch]);
  }

  async commit(
    transactionId: TransactionId,
    _wait: 'decided' | 'ended',
    branches: readonly HeldEnlistment[],
  ): Promise<CommitAnswer | 'unknown'> {
    const lost = this.nextCommitIsLost;
    this.nextCommitIsLost = undefined;
    if (lost === 'before') return 'unknown';
    if (this.commitFails) throw this.commitFails;
    this.add(this.begun.get(transactionId)!, branches);
    const answer = await this.decide(transactionId);
    this.unknown.delete(transactionId); // the log has both
    return lost === 'after' ? 'unknown' : answer;
  }

  async abort(
    transactionId: TransactionId,
    branches: readonly HeldEnlistment[] = [],
    invitation?: string,
    isOnlyHere = false,
  ): Promise<void> {
    const transaction = this.begun.get(transactionId)!;
    refuseUninvited(transaction, invitation);
    if (transaction.answer || (this.unknown.has(transactionId) && isOnlyHere)) return;
    this.aborts++;
    this.unknown.delete(transactionId);
    this.add(transaction, branches);
    await this.endAborted(transactionId, transaction);
  }

  private async endAborted(transactionId: TransactionId, transaction: FakeTransaction): Promise<void> {
    transaction.answer = { outcome: 'aborted', reason: 'CLIENT_ABORTED' };
    const known = new Set(transaction.branches.map(({ branchId }) => branchId));
    for (const session of this.sessionsOf(transactionId)) {
      if (known.has(session.branchId)) await session.rollBack({ code: 'ABORTED', message: '' });
    }
  }

  private add({ branches }: FakeTransaction, more: readonly BranchEnlistment[]): void {
    for (const branch of more)
      if (!branches.some(({ branchId }) => branchId === branch.branchId)) branches.push(branch);
  }

  async stateOf(transactionId: TransactionId): Promise<{ branches: BranchId[]; isDecided: boolean }> {
    if (this.isSilent) throw new Error('no coordinator answers');
    const { branches, answer } = this.begun.get(transactionId)!;
    return { branches: branches.map(({ branchId }) => branchId), isDecided: answer !== undefined };
  }

  async outcomeOf(transactionId: TransactionId): Promise<CommitAnswer | 'undecided' | 'forgotten'> {
    if (this.isSilent) throw new Error('no coordinator answers');
    if (this.unknown.has(transactionId)) return 'forgotten';
    return this.begun.get(transactionId)?.answer ?? 'undecided';
  }

  sessionsOf(transactionId: TransactionId): FakeSession[] {
    const all = this.services.flatMap(({ sessions }) => sessions);
    return all.filter(({ request }) => request.transactionId === transactionId);
  }

  private async decide(transactionId: TransactionId): Promise<CommitAnswer> {
    const transaction = this.begun.get(transactionId)!;
    if (transaction.answer) return transaction.answer;
    const sessions = this.sessionsOf(transactionId);
    for (const { branchId, participant, ...means } of transaction.branches) {
      if ('vote' in means && means.vote === 'read-only') continue;
      const session = sessions.find((one) => one.branchId === branchId);
      const { vote, error } = (await session?.prepare()) ?? {
        vote: 'no',
        error: { code: 'INSTANCE_GONE', message: '' },
      };
      if (vote !== 'no') continue;
      await this.endAborted(transactionId, transaction);
      const { code, message } = error!;
      transaction.answer = {
        outcome: 'aborted',
        reason: 'PARTICIPANT_REFUSED',
        participant,
        participantCode: code,
        detail: message,
      };
      return transaction.answer;
    }
    const known = new Set(transaction.branches.map(({ branchId }) => branchId));
    for (const session of sessions) if (known.has(session.branchId)) session.commit();
    transaction.answer = { outcome: 'committed' };
    return transaction.answer;
  }
}

function refuseUninvited(transaction: FakeTransaction | undefined, invitation: string | undefined): void {
  if (!transaction || transaction.invitation === invitation) return;
  throw Object.assign(new Error('there is no such transaction'), { code: 'TRANSACTION_NOT_FOUND' });
}
