import { invariant, unreachable } from '@concordat/foundation';
import {
  ParticipantMachine,
  type BranchAddress,
  type CoordinatorMessage,
  type DoneMessage,
  type ParticipantEffect,
  type ParticipantEvent,
  type VoteMessage,
} from '@concordat/commit-protocol';
import type { DatabaseAnswer, DatabaseOperation } from './branch-database.js';

export interface BranchOutput {
  readonly replies: readonly (VoteMessage | DoneMessage)[];
  readonly alerts: readonly string[];
}

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

  constructor(readonly address: BranchAddress) {
    this.machine = new ParticipantMachine({ participant: address.participant });
  }

  /** The sweeper asks about prepared branches unless something of their transaction is in hand. */
  get isIdle(): boolean {
    return this.machine.isIdle(this.address.transactionId);
  }

  receive(message: CoordinatorMessage): BranchOutput {
    return this.step({ type: 'message', message });
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
    return this.step(event);
  }

  private step(event: ParticipantEvent): BranchOutput {
    const replies: (VoteMessage | DoneMessage)[] = [];
    const alerts: string[] = [];
    for (const effect of this.machine.step(event)) {
      if (effect.type === 'reply') replies.push(effect.message);
      else if (effect.type === 'alert') alerts.push(`${effect.code}: ${effect.detail}`);
      else this.carryOut(effect);
    }
    return { replies, alerts };
  }

  private carryOut(effect: Exclude<ParticipantEffect, { type: 'reply' | 'alert' }>): void {
    switch (effect.type) {
      case 'run-prepare':
        return this.begin('prepare');
      case 'run-one-phase':
        return this.begin('one-phase');
      case 'run-commit':
        return this.begin('commit');
      case 'run-abort':
        return this.begin('abort');
      case 'run-ruling':
        return this.begin(effect.ruling);
      case 'cancel-work':
        this.mayBeDropped = true;
        return;
      case 'run-ballot':
      case 'open-ballot':
      case 'send':
        invariant(false, 'two phases have no ballots');
        return;
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
