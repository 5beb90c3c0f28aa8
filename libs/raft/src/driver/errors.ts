import { CodedError, codedError } from '@concordat/foundation';
import type { MembershipRefusal } from '../core/membership/membership-change.js';
import type { TransferRefusal } from '../core/election/leadership-transfer.js';
import type { NodeId } from '../core/types.js';

/** This node does not lead, so nothing was done. Ask `leaderId`, or retry when none is known. */
export class NotLeaderError extends codedError('NOT_LEADER', { retryable: true }) {
  constructor(readonly leaderId: NodeId | undefined) {
    super(leaderId === undefined ? 'no leader is known at the moment' : `node ${leaderId} leads, not this one`, {
      details: { leaderId },
    });
  }
}

/**
 * `OVERLOADED`: too much is pending; `STOPPED`: the node is not running; `TOO_LARGE`: the command is too large;
 * `TRANSFERRING`: a leadership transfer is in progress; `DISK_FULL`: this node's disk is full.
 */
export type ProposalDropCode = 'OVERLOADED' | 'STOPPED' | 'TOO_LARGE' | 'TRANSFERRING' | 'DISK_FULL';

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
 * Leadership was lost, or the node stopped, while the proposal was in flight: it may be committed or not. Never retry
 * blindly: read the state after the next `readIndex`.
 */
export class ProposalUnknownError extends codedError('PROPOSAL_UNKNOWN') {
  constructor(
    readonly index: number,
    readonly term: number,
  ) {
    super(`the fate of the proposal at index ${index} of term ${term} is unknown`, { details: { index, term } });
  }
}

/** A membership change was not begun; the configuration is unchanged. */
export class MembershipRefusedError extends CodedError {
  readonly retryable: boolean;

  constructor(
    readonly code: MembershipRefusal,
    message: string,
  ) {
    super(message);
    this.retryable = code === 'CHANGE_IN_PROGRESS' || code === 'NOT_CAUGHT_UP' || code === 'LEADER_NOT_READY';
  }
}

/** No transfer was begun: the target cannot lead, or another transfer is in progress. */
export class TransferRefusedError extends CodedError {
  readonly retryable: boolean;

  constructor(
    readonly code: TransferRefusal,
    message: string,
  ) {
    super(message);
    this.retryable = code === 'TRANSFER_IN_PROGRESS';
  }
}

/** The target did not take over within an election timeout; this node still leads. */
export class TransferFailedError extends codedError('TRANSFER_FAILED', { retryable: true }) {
  constructor(readonly target: NodeId) {
    super(`node ${target} did not take over within an election timeout; this node leads on`, { details: { target } });
  }
}

/**
 * Another process runs on the same data directory, or on a copy of it, and a member of the group is connected with it.
 * This process stops: the two do not know each other's promises.
 */
export class SecondProcessError extends codedError('SECOND_PROCESS') {
  constructor(nodeId: NodeId, witness: NodeId) {
    super(
      `another process runs as node ${nodeId} on the same data directory or a copy of it, and node ${witness} is ` +
        'connected with it. Keep the one whose directory was never restored from a copy; delete the copy, ' +
        'and start its node with an empty directory',
      { details: { nodeId, witness } },
    );
  }
}
