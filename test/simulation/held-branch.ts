import { CodedError, randomChance, randomItem, SeededRandom, UuidV7Generator } from '@concordat/foundation';
import { branchError, type ProtocolMessage } from '@concordat/commit-protocol';
import { HELD_GRACE_MS, type HeldBranch } from '@concordat/participant';
import { ConnectionLostError, ConnectionRefusedError, type SimulatedProcess } from '@concordat/foundation/testing';
import type { BranchRequest, HeldBranchRequest, TransactionView } from '../../apps/coordinator/src/index.js';
import { DatabaseError } from '../support/modelled-database/database-error.js';
import type { DatabaseSession } from '../support/modelled-database/database-session.js';
import { operate, type OperationPayload, type ParticipantNode } from './participant-node.js';
import type { World } from './world.js';

/** Apart from all other randomness, so that seeds with the broker alone stay what they are. */
const HELD_SEEDS_FROM = 3_000_017;
/** Of the enlistments of an interactive client. */
const HELD_SHARE = 0.4;
/** Of the interactive clients. */
const NAMING_SHARE = 0.5;
/** Of the clients that name branches. */
const RESERVED_SHARE = 0.5;
/** The holder dies between two steps of its branch. */
const DEATH_SHARE = 0.04;
const FAILED = branchError('HANDLER_FAILED', 'the method failed');

/** What may go wrong with work in a session: the process, its database, a lock, the balance. */
const EXPECTED = [ConnectionLostError, ConnectionRefusedError, DatabaseError, CodedError];

/** Behind its deadline and the grace period; a statement may be on its way, and wait for a lock. */
const OPEN_LIMIT_MS = HELD_GRACE_MS + 3_000;

interface Life {
  readonly node: ParticipantNode;
  readonly process: SimulatedProcess;
  hasEnded: boolean;
}

/** How a client enlists; false when that was refused or is unknown. */
export type Enlist = (branch: HeldBranchRequest) => Promise<boolean>;

/**
 * What services do whose methods join a global transaction: a process holds the session of a branch, does the work of
 * each call in it, and enlists the branch with its own name. A second call of the same participant goes to the process
 * that holds the branch already.
 */
export class HeldWork {
  /** by branch: the life of the process that holds it */
  private readonly lives = new Map<string, Life>();
  readonly counts = { held: 0, joined: 0, died: 0, 'rolled back': 0, lost: 0 };
  private readonly random: SeededRandom;
  private readonly ids: UuidV7Generator;
  /** by transaction and participant */
  private readonly holders = new Map<string, HeldBranch<DatabaseSession>>();

  constructor(
    private readonly world: World,
    seed: number,
    private readonly isCalm: boolean,
  ) {
    this.random = new SeededRandom(seed + HELD_SEEDS_FROM);
    this.ids = new UuidV7Generator(() => world.clock.now(), this.random.fork());
    for (const node of world.participants) node.onReply = (process, message) => this.heard(process, message);
  }

  /** Whether the next operation is done by a process that holds the branch. */
  draws(): boolean {
    return this.world.roads.link !== 'kafka' && randomChance(this.random, HELD_SHARE);
  }

  /** Whether a client names the held branches in its request to commit or abort, instead of enlisting each. */
  drawsNaming(): boolean {
    return this.world.roads.link !== 'kafka' && randomChance(this.random, NAMING_SHARE);
  }

  /** Whether such a client begins its transaction with the request to commit it, under an id that was reserved. */
  drawsReserved(): boolean {
    return randomChance(this.random, RESERVED_SHARE);
  }

  /** What a client waits for that waits for all branches. */
  drawnEnd(): 'ended' | 'reported' {
    return randomItem(this.random, ['ended', 'reported']);
  }

  /** Does the work in a held session and enlists it. False when the transaction must be aborted. */
  async perform(transaction: TransactionView, request: BranchRequest, enlist: Enlist): Promise<boolean> {
    const key = `${transaction.id}/${request.participant}`;
    const known = this.holders.get(key);
    if (known) return this.join(known, request);
    const node = randomItem(
      this.random,
      this.world.participants.filter(({ participant }) => participant === request.participant),
    );
    const branch = await this.open(node, transaction);
    if (!branch) return false;
    this.holders.set(key, branch);
    if (!(await this.work(branch, request))) return false;
    this.mayDie(node);
    const { participant, process } = node;
    const instance = process?.name ?? `${participant}-${node.instance}`;
    const isEnlisted = await enlist({ participant, branchId: branch.branchId, instance });
    this.mayDie(node);
    return isEnlisted;
  }

  private async join(branch: HeldBranch<DatabaseSession>, request: BranchRequest): Promise<boolean> {
    this.counts.joined++;
    return this.work(branch, request);
  }

  private async open(node: ParticipantNode, { id, deadline, createdAt }: TransactionView) {
    const { process, runtime } = node;
    if (!process || !runtime) return undefined;
    const until = Date.parse(deadline);
    const request = {
      transactionId: id,
      branchId: this.ids.next(),
      deadline: until,
      timeoutMs: until - Date.parse(createdAt),
    };
    const branch = await this.tried(() => process.call(() => runtime.hold(request)));
    if (branch) this.watch(node, process, branch, request.timeoutMs);
    return branch;
  }

  /** Rule: whatever happens, the session is closed some seconds behind the deadline. */
  private watch(
    node: ParticipantNode,
    process: SimulatedProcess,
    branch: HeldBranch<DatabaseSession>,
    timeoutMs: number,
  ): void {
    this.counts.held++;
    const { branchId } = branch;
    const life: Life = { node, process, hasEnded: false };
    this.lives.set(branchId, life);
    void branch.ended.then(() => (life.hasEnded = true));
    this.world.clock.setTimer(timeoutMs + OPEN_LIMIT_MS, () => {
      if (!process.isAlive || process.isPaused || !isOpen(node, branchId)) return;
      this.world.checker.violate(`held: ${process.name} has ${branchId} open ${OPEN_LIMIT_MS} ms behind its deadline`);
    });
  }

  /** What a process says of a branch that may be held. */
  private heard(process: SimulatedProcess, message: ProtocolMessage): void {
    const life = 'branchId' in message && this.lives.get(message.branchId);
    if (!life) return;
    const isHeld = life.process.isAlive && !life.hasEnded;
    if (message.type === 'vote' && message.error?.code === 'SESSION_LOST' && isHeld)
      this.world.checker.violate(
        `held: ${process.name} says that the session of ${message.branchId} is lost, which ${life.process.name} holds`,
      );
    if (
      message.type === 'done' &&
      message.end === 'aborted' &&
      life.process === process &&
      isOpen(life.node, message.branchId)
    )
      this.world.checker.violate(`held: ${process.name} has aborted ${message.branchId}, and its session is open`);
  }

  /** As a method does that joins: what fails in it ends its branch. */
  private async work(branch: HeldBranch<DatabaseSession>, { operation, payload }: BranchRequest): Promise<boolean> {
    // not the one that has taken its place since: the session died with its holder
    const process = this.lives.get(branch.branchId)?.process;
    if (!process) return false;
    const done = await this.tried(async () => {
      await process.call(() => operate(branch.context, operation, payload as unknown as OperationPayload));
      return true;
    });
    if (done) return true;
    this.counts['rolled back']++;
    await this.tried(() => process.call(() => branch.rollBack(FAILED)));
    return false;
  }

  private mayDie(node: ParticipantNode): void {
    if (this.isCalm || !node.process || !randomChance(this.random, DEATH_SHARE)) return;
    this.counts.died++;
    node.crashAndRestart();
  }

  private async tried<T>(action: () => Promise<T>): Promise<T | undefined> {
    try {
      return await action();
    } catch (error) {
      const isExpected = EXPECTED.some((kind) => error instanceof kind);
      if (!isExpected) throw error;
      this.counts.lost++;
      return undefined;
    }
  }
}

/** Whether the database has the session of the branch open. */
function isOpen({ database }: ParticipantNode, branchId: string): boolean {
  return [...database.sessions].some((session) => session.worksOn(branchId));
}
