import { invariant } from '@concordat/foundation';
import type { ConfirmedRead } from './ready.js';
import type { NodeId } from './types.js';

interface PendingRead extends ConfirmedRead {
  readonly requester: NodeId;
  readonly round: number;
}

/**
 * Reads that wait until a quorum confirms that the leader still led when they arrived (thesis, section 6.4; paper,
 * section 8). Each records the commit index of its arrival; all that arrive before a round's messages leave share the
 * round. They end with the leader: a later leader may have committed more.
 */
export class ReadIndexQueue {
  private pending: PendingRead[] = [];

  constructor(private readonly maximumPerRequester: number) {}

  /** @param round one whose messages have not left yet */
  add(requester: NodeId, requestId: number, index: number, round: number): void {
    const own = this.pending.filter((read) => read.requester === requester);
    if (own.length >= this.maximumPerRequester) this.pending.splice(this.pending.indexOf(own[0]!), 1);
    const last = this.pending.at(-1);
    invariant(!last || (last.round <= round && last.index <= index), 'later reads see no less');
    this.pending.push({ requester, requestId, index, round });
  }

  isEmpty(): boolean {
    return this.pending.length === 0;
  }

  hasConfirmed(round: number): boolean {
    const first = this.pending[0];
    return first !== undefined && first.round <= round;
  }

  /** Removes the reads that this round and earlier ones have confirmed. */
  takeConfirmed(round: number): PendingRead[] {
    const end = this.pending.findIndex((read) => read.round > round);
    return this.pending.splice(0, end < 0 ? this.pending.length : end);
  }
}
