import type { ApplyResult } from '@concordat/commit-protocol';
import type { Clock } from '@concordat/foundation';
import {
  formatId,
  isJoint,
  memberWithId,
  type Configuration,
  type Member,
  type PeerStatus,
  type RaftNodeApi,
  type RaftStatus,
} from '@concordat/raft';
import type { Config } from '../config.js';
import type {
  ClusterApi,
  ClusterMember,
  ClusterView,
  ConnectionView,
  Lack,
  MemberRequest,
  MemberRole,
} from './cluster.api.js';
import { GroupChanges } from './group-changes.js';
import { httpUrlOf, memberScheme, type MemberScheme } from './member-address.js';

/** The group from this node's view: Raft's status, with members and addresses from the replicated configuration. */
export class RaftCluster implements ClusterApi {
  private readonly changes: GroupChanges;
  /** cached, because every request asks */
  private leads: boolean;
  private readonly scheme: MemberScheme;

  constructor(
    private readonly config: Pick<Config, 'clusterName'> & Partial<Pick<Config, 'tls'>>,
    private readonly node: RaftNodeApi<ApplyResult>,
    private readonly clock: Clock,
    /** why replies are not consumed; undefined when they are */
    private readonly obstacle: () => string | undefined,
    /** where participants connect directly; undefined when they cannot */
    private readonly directAddress: () => string | undefined = () => undefined,
    /** throws when a node that is to be added does not answer as that node */
    verifyMember?: (request: MemberRequest) => Promise<void>,
  ) {
    this.scheme = memberScheme(config);
    this.changes = new GroupChanges(node, config.clusterName, verifyMember);
    this.leads = node.status().leaderReady;
    node.onStatusChange(({ leaderReady }) => (this.leads = leaderReady));
  }

  view(): ClusterView {
    const status = this.node.status();
    const { nodeId, term, commitIndex, appliedIndex, lastIndex, leaderId, configuration, standing } = status;
    return {
      clusterName: this.config.clusterName,
      directAddress: this.directAddress() ?? null,
      clusterId: standing.groupId === 0 ? null : formatId(standing.groupId),
      nodeId,
      incarnation: formatId(standing.incarnation),
      standing: standing.kind,
      obstacle: standing.obstacle ?? null,
      forgetful: standing.forgetful,
      leaderId: leaderId ?? null,
      term,
      commitIndex,
      appliedIndex,
      lastIndex,
      changing: isJoint(configuration),
      transferTarget: status.transferTarget ?? null,
      diskFullReason: status.diskFullReason ?? null,
      refusedMessages: status.refusedMessages,
      misdirectedMessages: status.misdirectedMessages,
      members: configuration.members.map((member) => memberView(status, member, this.scheme)),
    };
  }

  async currentView(): Promise<ClusterView> {
    await this.node.caughtUp();
    return this.view();
  }

  isLeader(): boolean {
    return this.leads;
  }

  exclusion(): string | undefined {
    const { configuration, nodeId, leaderId, standing } = this.node.status();
    if (standing.kind === 'founding') return undefined; // it becomes a member when the group is founded
    if (standing.kind === 'returning') return standing.obstacle;
    if (configuration.members.length === 0) {
      return `node ${nodeId} does not belong to the group yet: add it with POST /v1/cluster/members at another node`;
    }
    const role = roleOf(configuration, nodeId);
    if (role === undefined) return `node ${nodeId} was removed from the group`;
    // The members that remain may never tell it that it has left: they no longer send to it.
    if (role === 'leaving' && leaderId === undefined) return `node ${nodeId} is being removed from the group`;
    return undefined;
  }

  leaderHttpUrl(): string | undefined {
    const { leaderId, nodeId, configuration } = this.node.status();
    if (leaderId === undefined || leaderId === nodeId) return undefined;
    const leader = memberWithId(configuration, leaderId);
    return leader && httpUrlOf(leader, this.scheme);
  }

  waitForLeader(timeoutMs: number): Promise<boolean> {
    if (this.knowsLeader()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (known: boolean): void => {
        timer.cancel();
        detach();
        resolve(known);
      };
      const timer = this.clock.setTimer(timeoutMs, () => end(false));
      const detach = this.node.onStatusChange(() => {
        if (this.knowsLeader()) end(true);
      });
    });
  }

  lacks(): Lack[] {
    const lacks: Lack[] = [];
    const exclusion = this.exclusion();
    const { diskFullReason, standing } = this.node.status();
    if (exclusion !== undefined) lacks.push({ what: 'membership', reason: exclusion });
    else if (!this.knowsLeader())
      lacks.push({
        what: 'leader',
        reason: ['no leader is known', standing.obstacle].filter((part) => part !== undefined).join(': '),
      });
    if (diskFullReason !== undefined) lacks.push({ what: 'disk', reason: `the disk is full: ${diskFullReason}` });
    const obstacle = this.obstacle();
    if (obstacle !== undefined) lacks.push({ what: 'broker', reason: obstacle });
    return lacks;
  }

  async setMember(request: MemberRequest, waitMs: number): Promise<{ added: boolean; view: ClusterView }> {
    const added = await this.changes.setMember(request, waitMs);
    return { added, view: this.view() };
  }

  async removeMember(nodeId: number): Promise<ClusterView> {
    await this.changes.removeMember(nodeId);
    return this.view();
  }

  async transferLeadership(nodeId: number): Promise<ClusterView> {
    await this.changes.transferLeadership(nodeId);
    return this.view();
  }

  private knowsLeader(): boolean {
    return this.isLeader() || this.leaderHttpUrl() !== undefined;
  }
}

/** Undefined for a node that is no member. */
function roleOf({ voters, learners, outgoing }: Configuration, nodeId: number): MemberRole | undefined {
  if (voters.includes(nodeId)) return 'voter';
  if (learners.includes(nodeId)) return 'learner';
  return outgoing.includes(nodeId) ? 'leaving' : undefined;
}

function memberView(status: RaftStatus, member: Member, scheme: MemberScheme): ClusterMember {
  const { nodeId } = member;
  const own = nodeId === status.nodeId;
  const peer = status.peers.find((candidate) => candidate.nodeId === nodeId);
  const healthy = own || (peer?.healthy ?? false);
  const matchIndex = own ? status.lastIndex : status.role === 'leader' ? (peer?.matchIndex ?? null) : null;
  const lag = status.role === 'leader' && matchIndex !== null ? Math.max(0, status.lastIndex - matchIndex) : null;
  return {
    nodeId,
    role: roleOf(status.configuration, nodeId) ?? 'leaving',
    state: stateOf(status, nodeId, healthy),
    raftUrl: member.address,
    httpUrl: httpUrlOf(member, scheme),
    matchIndex,
    lag,
    replication: peer?.state ?? null,
    healthy,
    incarnation: member.incarnation === 0 ? null : formatId(member.incarnation),
    returning: member.returning || member.nextIncarnation !== 0,
    connection: connectionOf(peer),
  };
}

function stateOf(status: RaftStatus, nodeId: number, healthy: boolean): ClusterMember['state'] {
  if (nodeId === status.nodeId) return status.role === 'pre-candidate' ? 'candidate' : status.role;
  if (nodeId === status.leaderId) return 'leader';
  return healthy ? 'follower' : 'unknown';
}

function connectionOf(peer: PeerStatus | undefined): ConnectionView | null {
  const metrics = peer?.metrics;
  return metrics ? { ...metrics, roundTripMs: metrics.roundTripMs ?? null } : null;
}
