import type { ApplyResult } from '@concordat/commit-protocol';
import { unreachable } from '@concordat/foundation';
import {
  isMember,
  memberWithId,
  MembershipRefusedError,
  TransferFailedError as RaftTransferFailedError,
  TransferRefusedError,
  type Configuration,
  type Member,
  type MembershipChange,
  type MembershipOptions,
  type RaftNodeApi,
} from '@concordat/raft';
import { LogUnavailableError } from '../decision-log/decision-log.js';
import { diskFullError, logError } from '../decision-log/raft-errors.js';
import type { MemberRequest } from './cluster.api.js';
import {
  LastVoterError,
  MemberConflictError,
  MemberNotCaughtUpError,
  MemberNotFoundError,
  MembershipChangingError,
  NotAVoterError,
  TransferFailedError,
  TransferInProgressError,
} from './errors.js';
import { memberAt } from './member-address.js';

/**
 * Membership changes as an operator requests them, built from Raft's single steps. Each compares the request with the
 * configuration in force and does what is missing, so a request may be repeated until it is complete.
 */
export class GroupChanges {
  constructor(
    private readonly node: RaftNodeApi<ApplyResult>,
    private readonly clusterName: string,
    /** throws when the addresses are not those of the node */
    private readonly verify: (request: MemberRequest) => Promise<void> = async () => undefined,
  ) {}

  /** @returns whether the node was added; false: it was a member before */
  async setMember(request: MemberRequest, waitMs: number): Promise<boolean> {
    const configuration = this.lead();
    const member = memberAt(request.nodeId, request.raft, request.http);
    const known = memberWithId(configuration, request.nodeId);
    refuseConflict(configuration, request, member, known);
    if (!known) {
      await this.verify(request);
      await this.change([{ type: 'add-learner', member }]);
    }
    const missing = missingSteps(this.lead(), request);
    if (missing.length > 0) {
      try {
        await this.change(missing, { catchUpTimeoutMs: waitMs });
      } catch (error) {
        throw isLagging(error) ? this.notCaughtUp(member, waitMs, error) : error;
      }
    }
    return !known;
  }

  async removeMember(nodeId: number): Promise<void> {
    if (!isMember(this.lead(), nodeId)) throw notFound(nodeId);
    await this.change([{ type: 'remove', nodeId }]);
  }

  async transferLeadership(target: number): Promise<void> {
    this.lead();
    if (target === this.node.status().nodeId) return;
    try {
      await this.node.transferLeadership(target);
    } catch (error) {
      throw transferError(error);
    }
    const { leaderId } = this.node.status();
    if (leaderId === target) return;
    throw new TransferFailedError(`node ${leaderId ?? 'of unknown id'} leads instead of node ${target}`);
  }

  /** The configuration in force. Throws when this node may not change it. */
  private lead(): Configuration {
    const { leaderReady, configuration } = this.node.status();
    if (!leaderReady) throw new LogUnavailableError('no-leader', 'this node does not lead the cluster');
    return configuration;
  }

  private async change(changes: readonly MembershipChange[], options?: MembershipOptions): Promise<void> {
    const { diskFullReason } = this.node.status();
    // the change would wait for disk space without a bound
    if (diskFullReason !== undefined) throw diskFullError(diskFullReason);
    try {
      await this.node.changeMembership(changes, options);
    } catch (error) {
      throw isLagging(error) ? error : changeError(error);
    }
  }

  /** Says how far the learner's log is, and what usually slows one down. */
  private notCaughtUp({ nodeId, address }: Member, waitMs: number, cause: Error): MemberNotCaughtUpError {
    const status = this.node.status();
    const peer = status.peers.find((candidate) => candidate.nodeId === nodeId);
    const { matchIndex = 0, healthy = false } = peer ?? {};
    const progress = `it has ${matchIndex} of ${status.lastIndex} log entries`;
    const advice = healthy
      ? `it answers, and ${progress}: give it more time (waitMs) or a faster disk and network`
      : `it does not answer, and ${progress}: check that it runs with CONCORDAT_NODE_ID=${nodeId}, CONCORDAT_JOIN=true and CONCORDAT_CLUSTER=${this.clusterName}, and that every member reaches it at ${address}`;
    return new MemberNotCaughtUpError(
      `node ${nodeId} is a learner now and did not catch up within ${waitMs} ms; ${advice}. The same request goes on with it`,
      { cause, details: { nodeId, matchIndex, lastIndex: status.lastIndex } },
    );
  }
}

/** The steps that are still missing. The node is a member already. */
function missingSteps(configuration: Configuration, request: MemberRequest): MembershipChange[] {
  const { nodeId, role, replaces } = request;
  const steps: MembershipChange[] = [];
  if (role === 'voter' && configuration.learners.includes(nodeId)) steps.push({ type: 'promote', nodeId });
  if (role === 'learner' && configuration.voters.includes(nodeId)) steps.push({ type: 'demote', nodeId });
  if (replaces !== undefined && isMember(configuration, replaces)) steps.push({ type: 'remove', nodeId: replaces });
  return steps;
}

function refuseConflict(
  configuration: Configuration,
  { nodeId, replaces }: MemberRequest,
  member: Member,
  known: Member | undefined,
): void {
  const { members, voters } = configuration;
  if (known && (known.address !== member.address || known.data !== member.data)) {
    throw new MemberConflictError(
      `node ${nodeId} is a member with raftUrl ${known.address} and httpUrl http://${known.data}; an address changes only with a new id`,
    );
  }
  const other = members.find(
    (candidate) =>
      candidate.nodeId !== nodeId &&
      candidate.nodeId !== replaces &&
      (candidate.address === member.address || candidate.data === member.data),
  );
  if (other) throw new MemberConflictError(`node ${other.nodeId} has one of these addresses already`);
  if (replaces !== undefined && !isMember(configuration, replaces) && !voters.includes(nodeId))
    throw notFound(replaces);
}

function notFound(nodeId: number): MemberNotFoundError {
  return new MemberNotFoundError(`node ${nodeId} is not a member of the group`);
}

function isLagging(error: unknown): error is MembershipRefusedError {
  return error instanceof MembershipRefusedError && error.code === 'NOT_CAUGHT_UP';
}

function changeError(error: unknown): unknown {
  return error instanceof MembershipRefusedError ? refusedChange(error) : logError(error);
}

function refusedChange(cause: MembershipRefusedError): Error {
  const { code, message } = cause;
  switch (code) {
    case 'CHANGE_IN_PROGRESS':
      return new MembershipChangingError(message, { cause });
    case 'LEADER_NOT_READY':
      return new LogUnavailableError('no-leader', message, { cause });
    case 'LAST_VOTER':
      return new LastVoterError(message, { cause });
    case 'UNKNOWN_MEMBER':
      return new MemberNotFoundError(message, { cause });
    case 'NOT_CAUGHT_UP':
      return new MemberNotCaughtUpError(message, { cause });
    case 'ALREADY_MEMBER': // a concurrent request added it
    case 'NOT_A_LEARNER':
    case 'NOT_A_VOTER':
    case 'INVALID_CHANGE':
      return new MemberConflictError(message, { cause });
    default:
      return unreachable(code, 'refusal');
  }
}

function transferError(error: unknown): unknown {
  if (error instanceof RaftTransferFailedError) return new TransferFailedError(error.message, { cause: error });
  if (!(error instanceof TransferRefusedError)) return logError(error);
  if (error.code === 'NOT_A_VOTER') return new NotAVoterError(error.message, { cause: error });
  return new TransferInProgressError(error.message, { cause: error });
}
