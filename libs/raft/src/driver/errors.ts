import { CodedError } from '@concordat/foundation';
import type { NodeId } from '../core/types.js';

/** This node does not lead, so nothing was done. Ask `leaderId`, or again later when none is known. */
export class NotLeaderError extends CodedError {
  readonly code = 'NOT_LEADER';
  readonly retryable = true;

  constructor(readonly leaderId: NodeId | undefined) {
    super(leaderId === undefined ? 'no leader is known at the moment' : `node ${leaderId} leads, not this one`, {
      details: { leaderId },
    });
  }
}

/** `OVERLOADED`: too much is pending already; `STOPPED`: the node is not running; `TOO_LARGE`: the command is. */
export type ProposalDropCode = 'OVERLOADED' | 'STOPPED' | 'TOO_LARGE';

/** The proposal is definitely not in the log and never will be. */
export class ProposalDroppedError extends CodedError {
  readonly retryable: boolean;

  constructor(
    readonly code: ProposalDropCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message, { details });
    this.retryable = code !== 'TOO_LARGE';
  }
}

/**
 * Leadership was lost, or the node stopped, while the proposal was on its way: it may be committed or not.
 * Never retryable blindly: read the state after the next `confirmLeadership` of a leader.
 */
export class ProposalUnknownError extends CodedError {
  readonly code = 'PROPOSAL_UNKNOWN';
  readonly retryable = false;

  constructor(
    readonly index: number,
    readonly term: number,
  ) {
    super(`the fate of the proposal at index ${index} of term ${term} is unknown`, { details: { index, term } });
  }
}
