import {
  SPAN_ATTRIBUTES,
  errorMessage,
  fitText,
  unreachable,
  type Failpoints,
  type JsonValue,
  type Logger,
  type Tracing,
} from '@concordat/foundation';
import type {
  BallotRequestMessage,
  BranchAddress,
  BranchEnd,
  CommitOnePhaseMessage,
  Decision,
  OperationCall,
  ParticipantEffect,
  ParticipantEvent,
  PrepareMessage,
  WorkMessage,
} from '@concordat/commit-protocol';
import { BranchResults } from './branch-results.js';
import { BranchAbstainsError, BranchRefusedError } from './errors.js';
import type { ParticipantFailpoint } from './participant-failpoints.js';
import type { OperationBranch, OperationHandlers } from './participant-runtime.types.js';
import type { HeldBranches } from './held-branches.js';
import type { BranchWork, ResourceManager, TwoPhaseWork, VoteResult } from './resource-manager.js';
import { limitOf } from './time-left.js';

/** The machine's effects on the database. */
export type DatabaseEffect = Extract<ParticipantEffect, { type: `run-${string}` | 'open-ballot' }>;

export interface BranchExecutorPorts<Context> {
  readonly resourceManager: ResourceManager<Context>;
  readonly handlers: OperationHandlers<Context>;
  readonly held: Pick<HeldBranches<Context>, 'vote' | 'close'>;
  readonly failpoints: Failpoints;
  readonly logger: Logger;
  /** maximum JSON of all results of one branch, in bytes */
  readonly resultSizeBytes: number;
  /** gets a span for each handler that runs */
  readonly tracing?: Tracing;
  /** a ballot named other branches than this one knows, or an impossible round */
  onImpossibleBallot(branch: BranchAddress): void;
  /** a branch abstained, because its database has changed since the transaction began */
  onAbstention(): void;
}

/**
 * Carries out the database effects of the participant machine, with failpoints around them. Never rejects: an unknown
 * result becomes `unknown`, and the protocol repeats it.
 */
export class BranchExecutor<Context> {
  constructor(private readonly ports: BranchExecutorPorts<Context>) {}

  async run(effect: DatabaseEffect): Promise<ParticipantEvent> {
    const branch = branchOf(effect);
    try {
      return await this.carryOut(effect, branch);
    } catch (error) {
      if (error instanceof BranchAbstainsError) this.ports.onAbstention();
      const which = `branch ${branch.branchId} of transaction ${branch.transactionId}`;
      const sentence = `${effect.type} of ${which} has an unknown result and will be repeated`;
      this.ports.logger.warn(`${sentence}: ${errorMessage(error)}`);
      return { type: 'unknown', branch };
    }
  }

  private carryOut(effect: DatabaseEffect, branch: BranchAddress): Promise<ParticipantEvent> {
    switch (effect.type) {
      case 'run-prepare':
        return this.prepare(effect.message, branch);
      case 'run-one-phase':
        return this.onePhase(effect.message, branch);
      case 'run-commit':
        return this.end(branch, 'commit');
      case 'run-abort':
        return this.end(branch, 'abort');
      case 'run-ruling':
        return this.rule(branch, effect.ruling);
      case 'run-ballot':
        return this.answerBallot(effect.request, branch);
      case 'open-ballot':
        return this.openBallot(branch);
      default:
        return unreachable(effect, 'database effect');
    }
  }

  private async prepare(message: PrepareMessage, branch: BranchAddress): Promise<ParticipantEvent> {
    const work = branchWorkOf(message);
    const result = await (this.heldVote(message, work) ??
      this.ports.resourceManager.prepare(work, (context) =>
        this.work(message, context, 'participant.prepare.before-prepare'),
      ));
    if (result === 'busy') return { type: 'unknown', branch };
    const held = result.vote === 'yes' ? this.hit('participant.prepare.after-prepare') : undefined;
    if (held) await held;
    return { type: 'voted', branch, result };
  }

  private heldVote(message: PrepareMessage, work: BranchWork): Promise<VoteResult | 'busy'> | undefined {
    if (message.heldBy === undefined) return undefined;
    return this.ports.held.vote(work);
  }

  private async onePhase(message: CommitOnePhaseMessage, branch: BranchAddress): Promise<ParticipantEvent> {
    const result = await this.ports.resourceManager.commitOnePhase(twoPhaseWorkOf(message), (context) =>
      this.work(message, context, 'participant.commit.before-commit'),
    );
    if (result === 'busy') return { type: 'unknown', branch };
    await this.hit('participant.commit.after-commit');
    return { type: 'concluded', branch, result };
  }

  /** @param ending how the branch must end: by the decision, or by a ruling against it */
  private async end(branch: BranchAddress, ending: Decision, decision = ending): Promise<ParticipantEvent> {
    const isCommit = ending === 'commit';
    const closing = this.ports.held.close(branch);
    if (closing) await closing;
    const held = this.hit(isCommit ? 'participant.commit.before-commit' : 'participant.abort.before-rollback');
    if (held) await held;
    const end = await (isCommit ? this.commit(branch, decision) : this.abort(branch, decision));
    const heldAfter = this.hit(isCommit ? 'participant.commit.after-commit' : 'participant.abort.after-rollback');
    if (heldAfter) await heldAfter;
    return { type: 'ended', branch, end };
  }

  /** A lost branch is reported only with its tombstone: from then on it answers `no`, and a late prepare fails. */
  private async commit(branch: BranchAddress, decision: Decision): Promise<BranchEnd> {
    const { resourceManager } = this.ports;
    const end = await resourceManager.commit(branch);
    if (end !== 'heuristic-rollback') return end;
    // otherwise, as an acceptor, it would report its tombstone instead of the decision
    await resourceManager.recordDecision(branch, decision);
    return (await resourceManager.rollBack(branch)) === 'aborted' ? end : 'committed';
  }

  private abort(branch: BranchAddress, decision: Decision): Promise<BranchEnd> {
    const { resourceManager } = this.ports;
    return decision === 'abort' ? resourceManager.abort(branch) : resourceManager.rollBack(branch);
  }

  /** A ruling always contradicts a decision in the log; other branches that ask must get that decision. */
  private async rule(branch: BranchAddress, ruling: Decision): Promise<ParticipantEvent> {
    const decision = ruling === 'commit' ? 'abort' : 'commit';
    await this.ports.resourceManager.recordDecision(branch, decision);
    return this.end(branch, ruling, decision);
  }

  private async answerBallot(message: BallotRequestMessage, branch: BranchAddress): Promise<ParticipantEvent> {
    const { request, acceptors } = message;
    const answer = await this.ports.resourceManager.answerBallot(branch, request, acceptors);
    if (answer === 'refused') this.ports.onImpossibleBallot(branch);
    if (typeof answer === 'object' && answer.type === 'abstains') this.ports.onAbstention();
    if (answer === 'refused' || answer === 'unknown') return { type: 'unknown', branch };
    return { type: 'ballot-answered', branch, request: message, answer };
  }

  private async openBallot(branch: BranchAddress): Promise<ParticipantEvent> {
    const opened = await this.ports.resourceManager.openBallot(branch);
    return { type: 'ballot-opened', branch, opened };
  }

  private async work(
    message: WorkMessage,
    context: Context,
    failpoint: ParticipantFailpoint,
  ): Promise<readonly JsonValue[]> {
    const { transactionId, branchId, deadline, operations } = message;
    if (operations.length === 0) throw missingWork(message);
    const held = this.hit('participant.work.before-handlers');
    if (held) await held;
    const results = new BranchResults(this.ports.resultSizeBytes);
    for (const call of operations) {
      const branch = { transactionId, branchId, deadline };
      results.add(call.operation, await this.handle(call, context, branch, message));
    }
    const heldAfter = this.hit(failpoint);
    if (heldAfter) await heldAfter;
    return results.taken;
  }

  /** Handlers may throw anything; this makes it an error that can be read. */
  private async handle(
    call: OperationCall,
    context: Context,
    branch: OperationBranch,
    { participant, traceparent }: WorkMessage,
  ): Promise<unknown> {
    const { handlers, tracing } = this.ports;
    try {
      if (!tracing) return await handlers.handle(call, context, branch);
      const { transactionId, branchId } = branch;
      const attributes = {
        [SPAN_ATTRIBUTES.transactionId]: transactionId,
        [SPAN_ATTRIBUTES.branchId]: branchId,
        [SPAN_ATTRIBUTES.participant]: participant,
        [SPAN_ATTRIBUTES.operation]: call.operation,
      };
      const request = {
        name: `concordat ${call.operation}`,
        kind: 'consumer',
        parent: traceparent,
        attributes,
      } as const;
      return await tracing.span(request, () => handlers.handle(call, context, branch));
    } catch (thrown) {
      throw readableError(thrown);
    }
  }

  /** Awaited only if needed: a turn of the microtasks would part statements that share a write. */
  private hit(name: ParticipantFailpoint): Promise<void> | undefined {
    return this.ports.failpoints.hit(name);
  }
}

/** Nothing of a branch without operations is in the database: whoever worked on it has lost its session. */
function missingWork(message: WorkMessage): BranchRefusedError {
  if (message.type === 'prepare' && message.heldBy !== undefined) {
    return new BranchRefusedError(
      'SESSION_LOST',
      `the process "${message.heldBy}" held this branch and has lost its session; repeat the transaction`,
    );
  }
  return new BranchRefusedError('NOT_PREPARED', 'this branch was to be prepared by its service and is not there');
}

function readableError(thrown: unknown): Error {
  try {
    const { message, code } = thrown as { message?: unknown; code?: unknown };
    if (thrown instanceof Error && typeof message === 'string' && typeof code !== 'symbol') return thrown;
  } catch {
    // a getter or a proxy of the handler
  }
  return new TypeError(`the handler threw a value that is not an error: ${fitText(errorMessage(thrown), 200)}`);
}

export function branchOf(effect: DatabaseEffect): BranchAddress {
  switch (effect.type) {
    case 'run-prepare':
    case 'run-one-phase':
      return addressOf(effect.message);
    case 'run-ballot':
      return addressOf(effect.request);
    default:
      return effect.branch;
  }
}

function addressOf({ transactionId, branchId, participant }: BranchAddress): BranchAddress {
  return { transactionId, branchId, participant };
}

/** A branch without operations was prepared by its service: it exists already, or never will. */
function twoPhaseWorkOf(message: WorkMessage): TwoPhaseWork {
  const { transactionId, branchId, operations } = message;
  return { protocol: '2pc', transactionId, branchId, ...limitOf(message), preparedByService: operations.length === 0 };
}

function branchWorkOf(message: PrepareMessage): BranchWork {
  const work = twoPhaseWorkOf(message);
  if (message.protocol === '2pc') return work;
  const { protocol, acceptors, attempt, enlistedVote } = message;
  const isFirstSending = attempt === 0 && !enlistedVote;
  return { ...work, protocol, acceptors, isFirstSending, ...(enlistedVote && { enlistedVote }) };
}
