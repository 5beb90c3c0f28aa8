import type { UnsafeMessage } from './messages.js';

/** States of Skeen's participant (1982): `uncertain` has voted yes, `precommitted` knows that all others have, too. */
export type UnsafeParticipantState = 'initial' | 'uncertain' | 'precommitted' | 'committed' | 'aborted';

/**
 * WRONG ON PURPOSE. The participant of three-phase commit as the textbooks have it (D. Skeen, "Nonblocking Commit
 * Protocols", 1981, and "A Quorum-Based Commit Protocol", 1982, on why it needs quorums): one that waits too
 * long decides alone, by its own state.
 *
 *     initial --prepare--> uncertain --precommit--> precommitted --commit--> committed
 *     initial, uncertain --timeout--> aborted;  precommitted --timeout--> committed;  any before --abort--> aborted
 *
 * That holds where a timeout proves that the other is dead. Where messages can be late, or a network can be cut in two,
 * one side commits and the other aborts. For the lab and the model, which show just that; nothing else uses it. What
 * Concordat does instead stands in section 6 of the protocol.
 */
export class UnsafeParticipant {
  state: UnsafeParticipantState = 'initial';

  constructor(
    readonly branch: number,
    readonly willing: boolean,
  ) {}

  get isWaiting(): boolean {
    return this.state !== 'committed' && this.state !== 'aborted';
  }

  receive(message: Extract<UnsafeMessage, { to: number }>): UnsafeMessage[] {
    if (!this.isWaiting) return [];
    switch (message.type) {
      case 'prepare':
        if (this.state !== 'initial') return [];
        this.state = this.willing ? 'uncertain' : 'aborted';
        return [{ type: this.willing ? 'yes' : 'no', from: this.branch }];
      case 'precommit':
        if (this.state !== 'uncertain') return [];
        this.state = 'precommitted';
        return [{ type: 'acknowledged', from: this.branch }];
      case 'commit':
        this.state = 'committed';
        return [];
      case 'abort':
        this.state = 'aborted';
        return [];
    }
  }

  /** It has waited too long, and decides alone. */
  timeout(): void {
    if (this.isWaiting) this.state = this.state === 'precommitted' ? 'committed' : 'aborted';
  }
}
