import { invariant, unreachable } from '@concordat/foundation';
import type { BranchAddress, ParticipantMessage, ReplyMessage } from '../vocabulary/messages.js';
import { ParticipantMachine } from '../participant/participant.js';
import type { BallotMessage, ParticipantEffect, ParticipantEvent } from '../participant/participant.types.js';
import type { BranchId } from '../vocabulary/types.js';
import type { DatabaseWork } from '../../../../test/support/modelled-database/modelled-branch.js';
import type { InclinedBranch } from './inclined-branch.js';

interface Task {
  readonly branchId: BranchId;
  readonly work: DatabaseWork<ParticipantEvent>;
  hasBegun: boolean;
}

/** Where what a process says goes. */
export interface ProcessPorts {
  reply(message: ReplyMessage): void;
  send(message: BallotMessage): void;
  alert(detail: string): void;
}

/**
 * A process of a participant: its machine in memory, and what it has in hand in the databases of its branches. Each call
 * of `proceed` is one step in one of them; a crash is that nobody calls it any more.
 */
export class ParticipantProcess {
  private readonly machine: ParticipantMachine;
  private readonly tasks: Task[] = [];

  constructor(
    participant: string,
    private readonly branches: ReadonlyMap<BranchId, InclinedBranch>,
    private readonly ports: ProcessPorts,
  ) {
    this.machine = new ParticipantMachine({ participant });
  }

  get isBusy(): boolean {
    return this.tasks.length > 0;
  }

  receive(message: ParticipantMessage): void {
    this.step({ type: 'message', message });
  }

  /** One step of what is in hand. */
  proceed(): void {
    const [task] = this.tasks;
    invariant(task, 'there is something in hand');
    task.hasBegun = true;
    const { done, value } = task.work.next();
    if (!done) return;
    this.tasks.shift();
    this.step(value);
  }

  /** The database does not answer: what became of what is in hand is not known to this process. */
  loseAnswer(): void {
    const task = this.tasks.shift();
    const address = task && this.branches.get(task.branchId)?.address;
    if (address) this.step({ type: 'unknown', branch: address });
  }

  private step(event: ParticipantEvent): void {
    for (const effect of this.machine.step(event)) this.carryOut(effect);
  }

  private carryOut(effect: ParticipantEffect): void {
    switch (effect.type) {
      case 'reply':
        return this.ports.reply(effect.message);
      case 'send':
        return this.ports.send(effect.message);
      case 'alert':
        return this.ports.alert(`${effect.code}: ${effect.detail}`);
      case 'cancel-work':
        return this.cancel(effect.branch);
      case 'inquire-all':
        return this.inquireAll();
      case 'run-prepare':
        return this.run(effect.message, this.prepare(effect));
      case 'run-one-phase':
        return this.run(effect.message, this.onePhase(effect));
      case 'run-commit':
      case 'run-abort':
        return this.run(effect.branch, this.end(effect));
      case 'run-ballot':
        return this.run(effect.request, this.ballot(effect));
      case 'open-ballot':
        return this.run(effect.branch, this.open(effect));
      case 'run-ruling':
        throw new Error('no operator rules here');
      default:
        unreachable(effect, 'effect');
    }
  }

  private run({ branchId }: BranchAddress, work: DatabaseWork<ParticipantEvent>): void {
    this.tasks.push({ branchId, work, hasBegun: false });
  }

  private cancel({ branchId }: BranchAddress): void {
    const at = this.tasks.findIndex((task) => task.branchId === branchId && !task.hasBegun);
    if (at < 0) return;
    this.tasks.splice(at, 1);
    this.step({ type: 'unknown', branch: this.branch(branchId).address });
  }

  private inquireAll(): void {
    for (const branch of this.branches.values()) if (branch.isPrepared) this.ports.reply(branch.inquiry());
  }

  private *prepare({ message }: Extract<ParticipantEffect, { type: 'run-prepare' }>): DatabaseWork<ParticipantEvent> {
    const found = this.branch(message.branchId);
    const vote = yield* found.prepare(message);
    return { type: 'voted', branch: found.address, result: { vote, results: [] } };
  }

  private *onePhase({
    message,
  }: Extract<ParticipantEffect, { type: 'run-one-phase' }>): DatabaseWork<ParticipantEvent> {
    const found = this.branch(message.branchId);
    const end = yield* found.commitOnePhase(message);
    return { type: 'concluded', branch: found.address, result: { end, results: [] } };
  }

  private *end({
    type,
    branch,
  }: Extract<ParticipantEffect, { type: 'run-commit' | 'run-abort' }>): DatabaseWork<ParticipantEvent> {
    const found = this.branch(branch.branchId);
    return { type: 'ended', branch, end: yield* type === 'run-commit' ? found.commit() : found.abort() };
  }

  private *ballot({ request }: Extract<ParticipantEffect, { type: 'run-ballot' }>): DatabaseWork<ParticipantEvent> {
    const found = this.branch(request.branchId);
    const answer = yield* found.answerBallot(request.request, request.acceptors);
    const branch = found.address;
    if (answer === 'refused' || answer === 'unknown') return { type: 'unknown', branch };
    return { type: 'ballot-answered', branch, request, answer };
  }

  private *open({ branch }: Extract<ParticipantEffect, { type: 'open-ballot' }>): DatabaseWork<ParticipantEvent> {
    return { type: 'ballot-opened', branch, opened: yield* this.branch(branch.branchId).openBallot() };
  }

  private branch(branchId: BranchId): InclinedBranch {
    const found = this.branches.get(branchId);
    invariant(found, 'a participant has its branches');
    return found;
  }
}
