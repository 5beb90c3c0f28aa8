import type { RulingAction } from '@concordat/commit-protocol';
import type { ClockComparison } from './clocks/group-clocks.js';

/** What a node counts and measures, for its metrics. */
export interface Figures {
  readonly open: number;
  readonly inDoubt: number;
  readonly waitingForKeys: number;
  readonly alerts: number;
  readonly ended: number;
  /** branches that ended against their decision and that no operator has forgotten */
  readonly hazards: number;
  /** prepared branches of transactions whose decision is no longer known */
  readonly unknownOld: number;
  readonly rulings: Readonly<Record<RulingAction, number>>;
  /** messages that no reader or broker will ever accept */
  readonly unsendable: number;
  readonly clocks: ClockComparison;
}
