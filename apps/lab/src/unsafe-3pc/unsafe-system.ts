import { invariant } from '@concordat/foundation';
import { describeMessage, type UnsafeMessage } from './messages.js';
import { UnsafeCoordinator } from './unsafe-coordinator.js';
import { UnsafeParticipant, type UnsafeParticipantState } from './unsafe-participant.js';

export type UnsafeAction =
  | { readonly type: 'deliver'; readonly message: UnsafeMessage }
  | { readonly type: 'participant-timeout'; readonly branch: number }
  | { readonly type: 'coordinator-timeout' };

/**
 * One transaction under the textbook protocol, which is WRONG ON PURPOSE (see `UnsafeParticipant`): a coordinator, its
 * branches, and the messages in flight. The caller decides what arrives, and when a timeout fires. All of its state is
 * in plain properties, so that an explorer can copy it.
 */
export class UnsafeSystem {
  readonly coordinator: UnsafeCoordinator;
  readonly participants: readonly UnsafeParticipant[];
  messages: UnsafeMessage[];

  constructor(willing: readonly boolean[]) {
    this.coordinator = new UnsafeCoordinator(willing.length);
    this.participants = willing.map((isWilling, branch) => new UnsafeParticipant(branch, isWilling));
    this.messages = this.coordinator.start();
  }

  /** Everything that may happen now, in an order that only depends on the state. */
  actions(): UnsafeAction[] {
    const actions: UnsafeAction[] = this.messages.map((message) => ({ type: 'deliver', message }));
    for (const { branch, isWaiting } of this.participants) {
      if (isWaiting) actions.push({ type: 'participant-timeout', branch });
    }
    if (this.coordinator.isWaiting) actions.push({ type: 'coordinator-timeout' });
    return actions;
  }

  perform(action: UnsafeAction): void {
    switch (action.type) {
      case 'deliver':
        return this.deliver(action.message);
      case 'participant-timeout':
        return this.participant(action.branch).timeout();
      case 'coordinator-timeout':
        this.send(this.coordinator.timeout());
    }
  }

  describe(action: UnsafeAction): string {
    switch (action.type) {
      case 'deliver':
        return `arrives: ${describeMessage(action.message)}`;
      case 'participant-timeout': {
        const { state } = this.participant(action.branch);
        return `branch ${action.branch + 1} has waited too long (${state})`;
      }
      case 'coordinator-timeout':
        return `the coordinator has waited too long (${this.coordinator.state})`;
    }
  }

  states(): UnsafeParticipantState[] {
    return this.participants.map(({ state }) => state);
  }

  /** Whether one branch has committed and another has aborted. */
  hasDiverged(): boolean {
    const states = this.states();
    return states.includes('committed') && states.includes('aborted');
  }

  private deliver(message: UnsafeMessage): void {
    this.messages = this.messages.filter((other) => describeMessage(other) !== describeMessage(message));
    this.send('to' in message ? this.participant(message.to).receive(message) : this.coordinator.receive(message));
  }

  /** In the order of their names, so that equal states have equal values. */
  private send(messages: readonly UnsafeMessage[]): void {
    this.messages = [...this.messages, ...messages].sort((a, b) => (describeMessage(a) < describeMessage(b) ? -1 : 1));
  }

  private participant(branch: number): UnsafeParticipant {
    const participant = this.participants[branch];
    invariant(participant, 'a message names a branch that there is');
    return participant;
  }
}
