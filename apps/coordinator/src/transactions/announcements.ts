import type { AnnounceMessage } from '@concordat/commit-protocol';
import type { Clock } from '@concordat/foundation';
import type { DecisionLog } from '../decision-log/decision-log.js';

/** Has the log know what participants announce, where that is news; they announce it again every few seconds. */
export class Announcements {
  private readonly underWay = new Set<string>();

  constructor(
    private readonly log: DecisionLog,
    private readonly clock: Clock,
  ) {}

  take({ participant, operations }: AnnounceMessage): void {
    const known = this.log.state.participant(participant)?.operations;
    const same = known?.size === operations.length && operations.every((operation) => known.has(operation));
    if (same || this.underWay.has(participant)) return;
    this.underWay.add(participant);
    const forget = (): void => void this.underWay.delete(participant);
    this.log.append({ type: 'participant', name: participant, operations, at: this.clock.now() }).then(forget, forget);
  }
}
