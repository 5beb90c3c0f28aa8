import { CodedError, type SeededRandom, randomChance, randomInteger, randomItem } from '@concordat/foundation';
import type { Decision, Protocol } from '@concordat/commit-protocol';
import {
  parseBranch,
  parseExecute,
  parseJsonBody,
  type BegunView,
  type BranchRequest,
  type EnlistRequest,
  type NamedBranchRequest,
  type Settlement,
  type TransactionManager,
  type TransactionView,
  type WaitOptions,
} from '../../apps/coordinator/src/index.js';
import type { HeldWork } from './held-branch.js';
import type { Fate, Intent } from './intent.js';
import type { OddWishes } from './odd-work.js';
import { prepareOwnBranch } from './own-branch.js';
import type { Pace } from './pace.js';
import { ConnectionLostError, ConnectionRefusedError } from '@concordat/foundation/testing';
import { ACCOUNTS, PARTICIPANTS, type World } from './world.js';

export interface Workload {
  readonly clients: number;
  readonly intentsPerRound: number;
  readonly maximumThinkMs: number;
  /** what clients ask for; one is drawn for each transaction */
  readonly protocols: readonly Protocol[];
  /** few accounts make many conflicts */
  readonly accounts: readonly string[];
  /** whether operations declare their keys */
  readonly declaresKeys: boolean;
  /** probability that an answer to a client is lost */
  readonly answerLoss: number;
  readonly shortDeadlines: boolean;
}

const MIXTURES: readonly (readonly Protocol[])[] = [['2pc'], ['2pc', '3pc'], ['3pc']];

/** Without faults there is often a crowd instead, which waits for the same few locks. */
export function drawWorkload(random: SeededRandom, pace: Pace, calm: boolean): Workload {
  const crowd = calm && randomChance(random, 0.5);
  return {
    clients: crowd ? 10 : randomInteger(random, 2, 5),
    intentsPerRound: randomInteger(random, ...pace.intentsPerRound),
    maximumThinkMs: crowd ? 20 : randomInteger(random, ...pace.thinkMs),
    protocols: randomItem(random, MIXTURES),
    accounts: ACCOUNTS.slice(0, crowd ? 2 : randomInteger(random, 2, ACCOUNTS.length)),
    declaresKeys: !crowd && randomChance(random, 0.5),
    answerLoss: randomChance(random, 0.5) ? 0.1 : 0,
    shortDeadlines: randomChance(random, 0.3),
  };
}

/** Nothing has happened: try at another node. */
const NOTHING_HAPPENED = new Set(['LOG_UNAVAILABLE', 'OVERLOADED', 'UNKNOWN_PARTICIPANT']);
/** What an interactive client may hear when its deadline has passed or its request was repeated. */
const TOO_LATE = new Set(['TRANSACTION_DECIDED', 'TRANSACTION_CLOSED']);
const ANSWER_TIMEOUTS_MS = [1_000, 3_000, 6_000];

type Attempt<T> =
  | { readonly type: 'answer'; readonly value: T }
  | { readonly type: 'nothing' }
  | { readonly type: 'unknown' }
  | { readonly type: 'refused'; readonly code: string };

class AnswerTimeoutError extends Error {
  override readonly name = 'AnswerTimeoutError';
}

/** One user of the system: one wish after another, repeated at other nodes for as long as that is allowed. */
export class Client {
  readonly intents: Intent[] = [];
  finished = false;
  private preferred = 0;
  /** transactions whose begin was answered before it was in the log */
  private readonly deferred = new Set<string>();
  /** those under a reserved id that are not begun, as far as this client knows */
  private readonly reserved = new Map<string, Intent>();
  private retired = false;

  constructor(
    private readonly name: string,
    private readonly world: World,
    private readonly random: SeededRandom,
    private readonly workload: Workload,
    private readonly oddWishes: OddWishes,
    private readonly held: HeldWork,
  ) {}

  async run(): Promise<void> {
    const intents = this.workload.intentsPerRound * this.world.pace.rounds;
    for (let count = 0; count < intents; count++) {
      await this.world.sleep(randomInteger(this.random, 0, this.workload.maximumThinkMs));
      if (this.retired) break;
      const intent = this.createIntent(count);
      this.intents.push(intent);
      const fate = await this.pursue(intent);
      intent.fate = fate;
      this.world.trace.event(`${intent.id} is ${fate}`);
    }
    this.finished = true;
  }

  /** Wants nothing new any more. */
  retire(): void {
    this.retired = true;
  }

  private createIntent(count: number): Intent {
    const { random } = this;
    const id = `${this.name}-${count}`;
    const deadlines = this.workload.shortDeadlines ? [100, 300, 1_000] : [3_000, 5_000];
    const protocol = randomItem(random, this.workload.protocols);
    return {
      id,
      key: randomChance(random, 0.7) ? id : undefined,
      protocol,
      ...this.oddWishes.drawn(this.createBranches(id, protocol)),
      timeoutMs: randomItem(random, deadlines) * this.world.pace.patienceFactor,
      fate: 'open',
      transactionIds: new Set(),
    };
  }

  /** A transfer between two banks, within one, over all three, or a look at some balances; in three phases often over three. */
  private createBranches(intent: string, protocol: Protocol): BranchRequest[] {
    const { random } = this;
    const drawn = randomInteger(random, 0, 9);
    const shape = protocol === '3pc' && drawn > 5 ? 3 : drawn;
    const from = randomItem(random, PARTICIPANTS);
    const others = PARTICIPANTS.filter((name) => name !== from);
    const amount = randomChance(random, 0.1) ? 1_000_000 : randomInteger(random, 1, 60);
    const call = (participant: string, operation: string, of = amount): BranchRequest => {
      const account = randomItem(random, this.workload.accounts);
      const careless = randomChance(random, 0.1);
      const keys = this.workload.declaresKeys && operation !== 'read' ? [account] : [];
      return { participant, operation, payload: { account, amount: of, intent, careless }, keys };
    };
    if (shape === 0) return [call(from, 'read'), call(others[0]!, 'read')];
    if (shape <= 2) return [call(from, 'debit'), call(from, 'credit')];
    if (shape === 3) {
      const [one, other] = others as [string, string];
      // the third bank is only looked at, now and then: an acceptor that holds nothing
      if (randomChance(random, 0.2)) return [call(from, 'debit'), call(one, 'credit'), call(other, 'read')];
      return [call(from, 'debit', 2 * amount), ...others.map((name) => call(name, 'credit'))];
    }
    const to = randomItem(random, others);
    const transfer = [call(from, 'debit'), call(to, 'credit')];
    return shape === 4 ? [...transfer, call(randomItem(random, PARTICIPANTS), 'read')] : transfer;
  }

  private async pursue(intent: Intent): Promise<Fate> {
    const isOneShot = randomChance(this.random, 0.7);
    if (intent.isOdd && !this.isTaken(intent, isOneShot)) return 'nothing';
    const fate = await (isOneShot ? this.executeOneShot(intent) : this.executeInteractively(intent));
    if (intent.refusal !== undefined && fate === 'committed')
      this.world.checker.violate(`${intent.id} is committed, and was to be refused with ${intent.refusal}`);
    return fate;
  }

  /** What the REST interface looks at before anything happens. */
  private isTaken({ protocol, timeoutMs, branches, refusal }: Intent, isOneShot: boolean): boolean {
    const bodyOf = (value: object): unknown => parseJsonBody(Buffer.from(JSON.stringify(value)));
    try {
      if (isOneShot) parseExecute(bodyOf({ protocol, timeoutMs, branches }), PARTICIPANTS.length);
      else for (const branch of branches) parseBranch(bodyOf(branch));
      return true;
    } catch (error) {
      const code = error instanceof CodedError ? error.code : String(error);
      if (code === refusal) this.world.checker.said.refusedBefore(code);
      else this.unexpected(code);
      return false;
    }
  }

  // --- one call

  private async executeOneShot(intent: Intent): Promise<Fate> {
    const { protocol, branches, timeoutMs, key } = intent;
    const idempotency = key === undefined ? undefined : { key, bodyHash: `execute ${key}` };
    const request = { protocol, timeoutMs, metadata: { intent: intent.id }, branches } as const;
    const options = this.drawWait();
    for (;;) {
      const attempt = await this.ask((manager) =>
        manager.execute({ ...request, ...(idempotency && { idempotency }) }, options),
      );
      if (attempt.type === 'answer') {
        intent.transactionIds.add(attempt.value.transaction.id);
        return this.follow(attempt.value);
      }
      if (attempt.type === 'refused')
        return attempt.code === intent.refusal ? 'nothing' : this.unexpected(attempt.code);
      if (attempt.type === 'unknown' && !idempotency) return 'unknown';
      await this.pause();
    }
  }

  // --- step by step

  private async executeInteractively(intent: Intent): Promise<Fate> {
    const isNaming = !intent.isOdd && this.held.drawsNaming();
    const isReserved = isNaming && this.held.drawsReserved();
    const first = await this.begin(intent, isNaming, isReserved);
    if (typeof first === 'string') return first;
    const begun = isReserved ? { ...first, id: first.reserved![0]! } : first;
    const { id } = begun;
    intent.transactionIds.add(id);
    if (isNaming) this.deferred.add(id);
    if (isReserved) this.reserved.set(id, intent);
    const named: NamedBranchRequest[] = [];
    const enlistHeld = async (request: NamedBranchRequest): Promise<boolean> => {
      return isNaming ? named.push(request) > 0 : this.enlistAgain(id, request);
    };
    for (const [position, branch] of intent.branches.entries()) {
      const enlisted =
        !intent.isOdd && this.held.draws()
          ? await this.held.perform(begun, branch, enlistHeld)
          : await this.enlist(intent, id, branch, position);
      if (!enlisted) return this.end(id, 'abort', named);
      if (randomChance(this.random, 0.2)) await this.world.sleep(randomInteger(this.random, 0, 500));
    }
    if (randomChance(this.random, 0.1)) return this.await(id); // the client goes away: the deadline decides
    return this.end(id, randomChance(this.random, 0.85) ? 'commit' : 'abort', named);
  }

  private async begin(
    { id, key, protocol, timeoutMs }: Intent,
    deferred: boolean,
    reserves: boolean,
  ): Promise<BegunView | Fate> {
    // a repeat is answered without the ids, so who reserves sends no key
    const idempotency = key === undefined || reserves ? undefined : { key, bodyHash: `begin ${key}` };
    const request = { protocol, timeoutMs, metadata: { intent: id }, deferred, ...(reserves && { reserve: 1 }) };
    for (;;) {
      const attempt = await this.ask((manager) => manager.begin({ ...request, ...(idempotency && { idempotency }) }));
      if (attempt.type === 'answer') return attempt.value;
      if (attempt.type === 'refused') return this.unexpected(attempt.code);
      if (attempt.type === 'unknown' && !idempotency) return 'nothing'; // a transaction without branches at most
      await this.pause();
    }
  }

  /** Begins a transaction under its reserved id by a request of its own. False when nobody begins it any more. */
  private async beginReserved(id: string): Promise<boolean> {
    const intent = this.reserved.get(id);
    if (!intent) return true;
    this.reserved.delete(id);
    const { protocol, timeoutMs } = intent;
    for (;;) {
      const request = { protocol, timeoutMs, metadata: { intent: intent.id }, id, deferred: true } as const;
      const attempt = await this.ask((manager) => manager.begin(request));
      if (attempt.type === 'answer') return true;
      if (attempt.type === 'refused') return this.isLost(id, attempt.code) ? false : this.refuses(attempt.code);
      await this.pause();
    }
  }

  /** False when the branch could not be added, or nobody knows. */
  private async enlist(intent: Intent, id: string, branch: BranchRequest, position: number): Promise<boolean> {
    if (!(await this.beginReserved(id))) return false;
    if (randomChance(this.random, 0.15)) return this.enlistOwn(id, branch);
    const key = intent.key === undefined ? undefined : `${intent.key}-${position}`;
    const idempotency = key === undefined ? undefined : { key, bodyHash: `enlist ${key}` };
    for (;;) {
      const attempt = await this.ask((manager) => manager.enlist(id, branch, idempotency));
      if (attempt.type === 'answer') return true;
      if (attempt.type === 'refused' && attempt.code === intent.refusal) return false;
      if (attempt.type === 'refused')
        return TOO_LATE.has(attempt.code) || this.isLost(id, attempt.code) ? false : this.refuses(attempt.code);
      if (attempt.type === 'unknown' && !idempotency) return false;
      await this.pause();
    }
  }

  /** The service does the work itself, prepares it and enlists it with its vote. */
  private async enlistOwn(id: string, branch: BranchRequest): Promise<boolean> {
    const own = await prepareOwnBranch(this.world, this.random, id, branch);
    return own ? this.enlistAgain(id, own) : false;
  }

  /** The sender has made the id of the branch, so the request may be repeated. */
  private async enlistAgain(id: string, branch: EnlistRequest): Promise<boolean> {
    for (;;) {
      const attempt = await this.ask((manager) => manager.enlist(id, branch));
      if (attempt.type === 'answer') return true;
      if (attempt.type === 'refused')
        return TOO_LATE.has(attempt.code) || this.isLost(id, attempt.code) ? false : this.refuses(attempt.code);
      await this.pause();
    }
  }

  private async end(id: string, how: 'commit' | 'abort', branches: readonly NamedBranchRequest[]): Promise<Fate> {
    const intent = this.reserved.get(id);
    if (intent && how === 'abort' && !(await this.beginReserved(id))) return 'nothing';
    const begin = intent && {
      begin: { protocol: intent.protocol, timeoutMs: intent.timeoutMs, metadata: { intent: intent.id } },
    };
    const options = { ...this.drawWait(), branches, ...(how === 'commit' && begin) };
    for (;;) {
      const attempt = await this.ask((manager) => manager[how](id, options));
      if (attempt.type === 'answer') return this.follow(attempt.value);
      if (attempt.type === 'refused' && this.isLost(id, attempt.code)) return 'nothing';
      // a branch that nobody knew can join no more; the others have been decided about
      if (attempt.type === 'refused' && branches.length > 0 && TOO_LATE.has(attempt.code)) return this.await(id);
      if (attempt.type === 'refused') return this.unexpected(attempt.code);
      await this.pause();
    }
  }

  // --- answers

  private async follow(settlement: Settlement): Promise<Fate> {
    const fate = fateOf(settlement.transaction.decision);
    return fate ?? this.await(settlement.transaction.id);
  }

  /** Asks until the transaction is decided. */
  private async await(id: string): Promise<Fate> {
    for (;;) {
      await this.pause();
      const attempt = await this.ask(async (manager) => (await manager.get(id, 'linearizable')).value, id);
      if (attempt.type === 'refused') return this.isLost(id, attempt.code) ? 'nothing' : this.unexpected(attempt.code);
      const fate = attempt.type === 'answer' ? fateOf(attempt.value.decision) : undefined;
      if (fate) return fate;
    }
  }

  /** One request to one node. */
  private async ask<T extends TransactionView | Settlement | object>(
    request: (manager: TransactionManager) => Promise<T>,
    reads?: string,
  ): Promise<Attempt<T>> {
    const { world, random } = this;
    const atLeast = reads === undefined ? 0 : world.checker.answers.toldSoFar(reads);
    const node = world.coordinators[this.preferred % world.coordinators.length]!;
    const { process, manager } = node;
    try {
      if (!process || !manager) throw new ConnectionRefusedError('the node is down');
      const value = await this.inTime(process.call(() => request(manager)));
      if (randomChance(random, this.workload.answerLoss)) throw new ConnectionLostError('the answer was lost');
      this.report(value, atLeast);
      return { type: 'answer', value };
    } catch (error) {
      this.preferred = randomInteger(random, 0, world.coordinators.length - 1);
      if (error instanceof ConnectionRefusedError) return { type: 'nothing' };
      if (error instanceof ConnectionLostError || error instanceof AnswerTimeoutError) return { type: 'unknown' };
      if (!(error instanceof CodedError)) {
        world.checker.violate(`a request failed with ${error instanceof Error ? error.stack : String(error)}`);
        return { type: 'unknown' };
      }
      if (NOTHING_HAPPENED.has(error.code)) return { type: 'nothing' };
      return error.code === 'OUTCOME_UNKNOWN' ? { type: 'unknown' } : { type: 'refused', code: error.code };
    }
  }

  private report(value: TransactionView | Settlement | object, atLeast: number): void {
    const view = 'transaction' in value ? value.transaction : 'status' in value ? value : undefined;
    if (!view || view.logIndex === 0) return; // a deferred begin: the log may never have it
    this.world.trace.event(`${this.name} hears of ${view.id}: ${view.status} ${view.decision ?? ''}`);
    this.world.checker.answers.answered(view.id, view.status, view.decision, atLeast);
  }

  private inTime<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timeoutMs = randomItem(this.random, ANSWER_TIMEOUTS_MS) * this.world.pace.patienceFactor;
      const timer = this.world.clock.setTimer(timeoutMs, () => reject(new AnswerTimeoutError('no answer')));
      answer.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  private drawWait(): WaitOptions {
    return {
      waitMs: randomItem(this.random, [50, 1_000, 4_000]),
      wait: randomChance(this.random, 0.3) ? this.held.drawnEnd() : 'decided',
    };
  }

  /** Before something is asked again. */
  private pause(): Promise<void> {
    return this.world.sleep(randomInteger(this.random, 20, 400) * this.world.pace.patienceFactor);
  }

  /** Its begin was lost with its leader. */
  private isLost(id: string, code: string): boolean {
    return code === 'TRANSACTION_NOT_FOUND' && this.deferred.has(id);
  }

  private refuses(code: string): boolean {
    this.unexpected(code);
    return false;
  }

  private unexpected(code: string): Fate {
    this.world.checker.violate(`${this.name} was refused with ${code}`);
    return 'unknown';
  }
}

function fateOf(decision: Decision | null): Fate | undefined {
  if (decision === null) return undefined;
  return decision === 'commit' ? 'committed' : 'aborted';
}
