import type { UnsafeMessage } from './messages.js';

export type UnsafeCoordinatorState = 'waiting' | 'precommitting' | 'committed' | 'aborted';

/**
 * WRONG ON PURPOSE. The coordinator of three-phase commit as the textbooks have it; see `UnsafeParticipant`.
 *
 *     waiting --all yes--> precommitting --all acknowledged, or timeout--> committed;  waiting --no, or timeout--> aborted
 */
export class UnsafeCoordinator {
  state: UnsafeCoordinatorState = 'waiting';
  private readonly heard = new Set<number>();

  constructor(private readonly branches: number) {}

  get isWaiting(): boolean {
    return this.state === 'waiting' || this.state === 'precommitting';
  }

  start(): UnsafeMessage[] {
    return this.toAll('prepare');
  }

  receive({ type, from }: Extract<UnsafeMessage, { from: number }>): UnsafeMessage[] {
    if (this.state === 'waiting' && type === 'no') return this.end('aborted');
    const isExpected =
      this.state === 'waiting' ? type === 'yes' : this.state === 'precommitting' && type === 'acknowledged';
    if (!isExpected) return [];
    this.heard.add(from);
    if (this.heard.size < this.branches) return [];
    if (this.state === 'precommitting') return this.end('committed');
    this.state = 'precommitting';
    this.heard.clear();
    return this.toAll('precommit');
  }

  /** A branch that does not answer counts as dead. */
  timeout(): UnsafeMessage[] {
    if (!this.isWaiting) return [];
    return this.end(this.state === 'waiting' ? 'aborted' : 'committed');
  }

  private end(state: 'committed' | 'aborted'): UnsafeMessage[] {
    this.state = state;
    return this.toAll(state === 'committed' ? 'commit' : 'abort');
  }

  private toAll(type: 'prepare' | 'precommit' | 'commit' | 'abort'): UnsafeMessage[] {
    return Array.from({ length: this.branches }, (_, to) => ({ type, to }));
  }
}
