import { isJoint } from '../core/membership/configuration.js';
import type { MembershipChange } from '../core/membership/membership-change.js';
import type { RaftCore } from '../core/raft-core.js';
import type { Configuration } from '../core/types.js';
import { MembershipRefusedError, NotLeaderError, ProposalUnknownError } from './errors.js';

interface Change {
  readonly changes: readonly MembershipChange[];
  readonly resolve: (configuration: Configuration) => void;
  readonly reject: (error: Error) => void;
  /** ticks left for learners to catch up */
  ticksLeft: number;
}

/**
 * Callers of `changeMembership`.
 *
 *     waiting --appended--> in the log --final configuration committed--> resolved
 *        \--refused            \--leadership lost--> unknown
 *
 * A change that promotes a learner waits for it to catch up. One is in the log at a time, as Raft requires.
 */
export class MembershipChanger {
  private waiting: Change[] = [];
  private appended: { readonly change: Change; readonly index: number; readonly term: number } | undefined;

  add(changes: readonly MembershipChange[], catchUpTicks: number): Promise<Configuration> {
    return new Promise((resolve, reject) => this.waiting.push({ changes, resolve, reject, ticksLeft: catchUpTicks }));
  }

  tick(): void {
    for (const change of this.waiting) change.ticksLeft--;
  }

  /** Advances all changes, once per pass. */
  advance(core: RaftCore): void {
    this.finish(core);
    if (this.waiting.length === 0) return;
    const waiting = this.waiting;
    this.waiting = [];
    for (const change of waiting) this.begin(core, change);
  }

  private begin(core: RaftCore, change: Change): void {
    const result = core.changeMembership(change.changes);
    if ('index' in result) {
      this.appended = { change, index: result.index, term: core.term };
    } else if (result.refused === 'NOT_LEADER') {
      change.reject(new NotLeaderError(core.leaderId));
    } else if (result.refused === 'NOT_CAUGHT_UP' && change.ticksLeft > 0) {
      this.waiting.push(change);
    } else {
      change.reject(new MembershipRefusedError(result.refused, result.reason));
    }
  }

  /** The entry of the change, or of leaving its joint configuration, is the latest and committed. */
  private finish(core: RaftCore): void {
    const { appended } = this;
    if (!appended) return;
    const { configuration, configurationIndex, commitIndex } = core;
    const stillLeads = core.role === 'leader' && core.term === appended.term;
    // The log may have been compacted beyond the entry; a leader's own entries are never replaced while it leads.
    const isOwn = stillLeads || core.termAt(appended.index) === appended.term;
    const isInForce = isOwn && commitIndex >= appended.index;
    if (isInForce && !isJoint(configuration) && configurationIndex <= commitIndex) {
      this.appended = undefined;
      appended.change.resolve(configuration);
    } else if (!stillLeads) {
      this.appended = undefined;
      appended.change.reject(new ProposalUnknownError(appended.index, appended.term));
    }
  }

  /** The node stops: waiting changes never began, the fate of the one in the log is unknown. */
  rejectAll(): void {
    const { appended, waiting } = this;
    this.appended = undefined;
    this.waiting = [];
    appended?.change.reject(new ProposalUnknownError(appended.index, appended.term));
    for (const { reject } of waiting) reject(new NotLeaderError(undefined));
  }
}
