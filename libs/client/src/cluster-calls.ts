import { InvalidRequestError } from './errors/errors.js';
import type { Cluster, MemberChange } from './model/cluster.js';
import { clusterShape } from './model/shapes.js';
import { bodyOf, queryOf, waitMsOf } from './requests.js';
import type { CallOptions } from './transport/options.js';
import type { Transport } from './transport/transport.js';

export interface MemberOptions extends CallOptions {
  /** how long the coordinator waits until a new voter has caught up: 0 to 60,000, default 30,000 */
  readonly waitMs?: number | undefined;
}

/** The group of coordinators: its state, its members, its leader. */
export class ClusterCalls {
  constructor(private readonly transport: Transport) {}

  /** The group as one coordinator sees it: the one that answered last. */
  get(options: CallOptions = {}): Promise<Cluster> {
    const call = { method: 'GET', path: '/v1/cluster', repeatability: 'read', statuses: [200] } as const;
    return this.transport.read(call, clusterShape, options);
  }

  /**
   * Adds a node to the group, changes the role of a member, or replaces one. May be repeated.
   *
   * @throws ClusterChangeRefusedError, with `MEMBER_NOT_CAUGHT_UP` when the node needs longer than `waitMs`
   */
  async setMember(member: MemberChange, options: MemberOptions = {}): Promise<Cluster> {
    const waitMs = waitMsOf(options.waitMs);
    const path = `/v1/cluster/members${queryOf({ waitMs })}`;
    const { nodeId, raftUrl, httpUrl, role, replaces } = member;
    const body = bodyOf({ nodeId, raftUrl, httpUrl, role, replaces });
    const call = { method: 'POST', path, body, waitMs, repeatability: 'idempotent', statuses: [200, 201] } as const;
    return this.transport.read(call, clusterShape, options);
  }

  /**
   * Removes a node from the group. Not repeated when it may have taken effect: a second removal would find no member.
   *
   * @throws ClusterChangeRefusedError
   */
  async removeMember(nodeId: number, options: CallOptions = {}): Promise<Cluster> {
    const path = `/v1/cluster/members/${nodeIdOf(nodeId)}`;
    const call = { method: 'DELETE', path, repeatability: 'once', statuses: [200] } as const;
    return this.transport.read(call, clusterShape, options);
  }

  /**
   * Hands the leadership to a voter.
   *
   * @throws ClusterChangeRefusedError
   */
  async transferLeadership(nodeId: number, options: CallOptions = {}): Promise<Cluster> {
    const body = bodyOf({ nodeId: nodeIdOf(nodeId) });
    const path = '/v1/cluster/leader';
    const call = { method: 'POST', path, body, repeatability: 'idempotent', statuses: [200] } as const;
    return this.transport.read(call, clusterShape, options);
  }
}

function nodeIdOf(nodeId: number): number {
  if (Number.isSafeInteger(nodeId) && nodeId > 0) return nodeId;
  throw new InvalidRequestError('INVALID_NODE_ID', 'the id of a node must be a positive whole number');
}
