import { invariant, unreachable } from '@concordat/foundation';
import {
  ParticipantMachine,
  type BallotMessage,
  type BallotRequestMessage,
  type BranchAddress,
  type DoneMessage,
  type ParticipantEffect,
  type ParticipantEvent,
  type ParticipantMessage,
  type VoteMessage,
} from '@concordat/commit-protocol';
import { isWork, type DatabaseAnswer, type DatabaseOperation } from './branch-database.js';

export type BranchMessage = VoteMessage | DoneMessage | BallotMessage;

export interface BranchOutput {
  readonly sent: readonly BranchMessage[];
  readonly alerts: readonly string[];
}

const NOTHING: BranchOutput = { sent: [], alerts: [] };
const BRANCH_REFUSED = { code: 'REFUSED', message: 'the handler refused' };

/**
 * A process of a participant around the real machine, as the participant's runtime is one: carries out one database
 * operation at a time and passes on what the machine says. Everything in it is lost with a crash.
 */
export class BranchProcess {
  readonly machine: ParticipantMachine;
  inHand: DatabaseOperation | undefined;
  /** the work in hand is not wanted any more: if it has not begun, it never will */
  mayBeDropped = false;
  /** what the ballot in hand answers */
  private request: BallotRequestMessage | undefined;

  constructor(readonly address: BranchAddress) {
    this.machine = new ParticipantMachine({ participant: address.participant });
  }

  /** The sweeper asks about prepared branches unless something of their transaction is in hand. */
  get isIdle(): boolean {
    return this.machine.isIdle(this.address.transactionId);
  }

  receive(message: ParticipantMessage): BranchOutput {
    return this.step({ type: 'message', message });
  }

  /** The branch has waited too long for any coordinator. */
  terminationDue(): BranchOutput {
    return this.receive({ ...this.address, type: 'termination-due' });
  }

  /** The database has answered the operation in hand. */
  answered(answer: DatabaseAnswer): BranchOutput {
    const branch = this.address;
    switch (answer.type) {
      case 'voted': {
        const { vote } = answer;
        const result = { vote, results: [], ...(vote === 'no' && { error: BRANCH_REFUSED }) };
        return this.finish({ type: 'voted', branch, result });
      }
      case 'concluded':
        return this.finish({ type: 'concluded', branch, result: { end: answer.end, results: [] } });
      case 'ended':
        return this.finish({ type: 'ended', branch, end: answer.end });
      case 'ballot-answered': {
        const { request } = this;
        invariant(request, 'a ballot is answered that was asked for');
        return this.finish({ type: 'ballot-answered', branch, request, answer: answer.answer });
      }
      case 'ballot-opened':
        return this.finish({ type: 'ballot-opened', branch, opened: answer.opened });
      case 'unknown':
        return this.unanswered();
      case 'continues':
        this.inHand = answer.with;
        this.mayBeDropped = false;
        return NOTHING;
      default:
        return unreachable(answer, 'answer of a database');
    }
  }

  /** The operation in hand was dropped, or its connection broke: nothing is known of it. */
  unanswered(): BranchOutput {
    return this.finish({ type: 'unknown', branch: this.address });
  }

  private finish(event: ParticipantEvent): BranchOutput {
    invariant(this.inHand, 'something is in hand');
    this.inHand = undefined;
    this.mayBeDropped = false;
    this.request = undefined;
    return this.step(event);
  }

  private step(event: ParticipantEvent): BranchOutput {
    const sent: BranchMessage[] = [];
    const alerts: string[] = [];
    for (const effect of this.machine.step(event)) {
      if (effect.type === 'reply' || effect.type === 'send') sent.push(effect.message);
      else if (effect.type === 'alert') alerts.push(`${effect.code}: ${effect.detail}`);
      else this.carryOut(effect);
    }
    return { sent, alerts };
  }

  private carryOut(effect: Exclude<ParticipantEffect, { type: 'reply' | 'send' | 'alert' }>): void {
    switch (effect.type) {
      case 'run-prepare':
        return this.begin({ type: 'prepare' });
      case 'run-one-phase':
        return this.begin({ type: 'one-phase' });
      case 'run-commit':
        return this.begin({ type: 'commit' });
      case 'run-abort':
        return this.begin({ type: 'abort' });
      case 'run-ruling':
        return this.begin({ type: effect.ruling });
      case 'cancel-work':
        this.mayBeDropped = isWork(this.inHand);
        return;
      case 'run-ballot':
        this.request = effect.request;
        return this.begin({ type: 'answer-ballot', request: effect.request.request });
      case 'open-ballot':
        return this.begin({ type: 'open-ballot' });
      case 'inquire-all':
        return; // the sweeper of the model may ask at any time
      default:
        unreachable(effect, 'effect of a participant');
    }
  }

  private begin(operation: DatabaseOperation): void {
    invariant(this.inHand === undefined, 'one operation of a transaction is in hand at a time');
    this.inHand = operation;
  }
}
