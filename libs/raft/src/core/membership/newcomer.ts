import type { Addressing } from './addressing.js';
import { memberOf, memberWithId, votersOnly } from './configuration.js';
import type { RaftLog } from '../log/log.js';
import type {
  Configuration,
  GroupId,
  Incarnation,
  Introduction,
  IntroductionReply,
  MemberDescription,
  NodeId,
} from '../types.js';

/** A node that its group does not know. */
export interface NewcomerOptions {
  /** the members of the present or future group, this node included */
  readonly members: readonly MemberDescription[];
  /** whether it may found a group with them */
  readonly founds: boolean;
  /** whether this directory has a term, and so knows of a group: a first founding begins without one */
  readonly knowsOfGroup: boolean;
  readonly electionTicks: number;
}

/** The latest introduction of another node. */
export interface Acquaintance {
  readonly incarnation: Incarnation;
  readonly groupId: GroupId;
  readonly lastLogIndex: number;
  readonly founders: number;
  readonly leaderId: NodeId;
  /** under which it knows this node; 0: unknown */
  readonly knownIncarnation: Incarnation;
  ticksAgo: number;
  /** how long two processes with that id have been seen */
  doubtTicks: number;
}

const encoder = new TextEncoder();

/** Equal for equal lists of members; never 0. */
export function fingerprint(members: readonly MemberDescription[]): number {
  const sorted = [...members].sort((left, right) => left.nodeId - right.nodeId);
  const text = JSON.stringify(sorted.map(({ nodeId, address, data, priority }) => [nodeId, address, data, priority]));
  let hash = 0x811c9dc5;
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return 1 + (hash >>> 0);
}

/**
 * A node that its group does not know: its directory is empty, or the group has another incarnation of it. It
 * introduces itself to the others, and has no vote until a leader sends it the log.
 *
 * A group is founded once, by agreement of all: each of its first members has an empty directory and the same list of
 * members. Then the lowest id writes the first entry, with a new group id and the incarnations of all. If one node has
 * a log, or one is missing, no group is founded.
 *
 * A node that has learned of a log never founds a group with its directory, even if all others have lost theirs since:
 * the core records that in the term, which is durable. So losing directories one after another never looks like a first
 * start.
 */
export class Newcomer {
  private readonly acquaintances = new Map<NodeId, Acquaintance>();
  private readonly fingerprint: number;
  private ticksToIntroduction: number;
  private knowsOfLog: boolean;
  /** ticks since a leader's last message for another incarnation of this node */
  private missedTicksAgo = Infinity;
  private caller: NodeId | undefined;

  constructor(
    private readonly options: NewcomerOptions,
    private readonly addressing: Addressing,
    private readonly log: RaftLog,
  ) {
    const { members, electionTicks } = options;
    this.knowsOfLog = options.knowsOfGroup;
    const founds = options.founds && this.isEmpty && members.some(({ nodeId }) => nodeId === addressing.nodeId);
    this.fingerprint = founds ? fingerprint(members) : 0;
    this.ticksToIntroduction = Math.ceil(electionTicks / 2);
  }

  get isEmpty(): boolean {
    return this.log.lastIndex === 0;
  }

  /** 0 when it must not found a group. */
  get founders(): number {
    return this.isEmpty && !this.knowsOfLog ? this.fingerprint : 0;
  }

  /** Whether any node has reported that the group has a log. */
  get knowsOfGroup(): boolean {
    return this.knowsOfLog;
  }

  /** Whether it would found a group, had it not learned of a log. */
  get isKeptFromFounding(): boolean {
    return this.isEmpty && this.knowsOfLog && this.fingerprint !== 0;
  }

  /** Whether its group has another incarnation of it, by its log or the others' messages. */
  get isReplaced(): boolean {
    const { nodeId, incarnation } = this.addressing;
    const named = memberWithId(this.log.configuration, nodeId);
    const isNamed = named?.incarnation === incarnation || named?.nextIncarnation === incarnation;
    const isForeign = named !== undefined && named.incarnation !== 0 && !isNamed;
    return isForeign || this.missedTicksAgo <= this.memoryTicks;
  }

  private get memoryTicks(): number {
    return 2 * this.options.electionTicks;
  }

  /** One tick; true when it must introduce itself again. */
  tick(): boolean {
    this.missedTicksAgo++;
    for (const acquaintance of this.acquaintances.values()) {
      acquaintance.ticksAgo++;
      if (acquaintance.doubtTicks > 0) acquaintance.doubtTicks--;
    }
    if (--this.ticksToIntroduction > 0) return false;
    this.ticksToIntroduction = Math.ceil(this.options.electionTicks / 2);
    return this.isEmpty || this.isReplaced;
  }

  /** The receivers of its introductions: every known node, and an unlisted leader. */
  recipients(): NodeId[] {
    const named = [...this.options.members, ...this.log.configuration.members].map(({ nodeId }) => nodeId);
    const known = this.caller === undefined ? named : [...named, this.caller];
    return [...new Set(known)].filter((nodeId) => nodeId !== this.addressing.nodeId);
  }

  /** A leader's message for another incarnation of it arrived. */
  missed(leaderId: NodeId): void {
    this.missedTicksAgo = 0;
    this.knowsOfLog = true;
    this.caller = leaderId;
  }

  /** Another node has introduced itself. */
  met(message: Introduction | IntroductionReply): void {
    const { from, fromIncarnation: incarnation, groupId, lastLogIndex, founders } = message;
    if (lastLogIndex > 0) this.knowsOfLog = true;
    const before = this.acquaintances.get(from);
    const isDuplicate =
      before !== undefined && before.incarnation !== incarnation && before.ticksAgo <= this.memoryTicks;
    const isReply = message.type === 'introduction-reply';
    this.acquaintances.set(from, {
      incarnation,
      groupId,
      lastLogIndex,
      founders,
      leaderId: isReply ? message.leaderId : 0,
      knownIncarnation: isReply ? message.knownIncarnation : 0,
      ticksAgo: 0,
      doubtTicks: isDuplicate ? this.memoryTicks : (before?.doubtTicks ?? 0),
    });
  }

  /** The recent introductions. */
  present(): ReadonlyMap<NodeId, Acquaintance> {
    return new Map([...this.acquaintances].filter(([, { ticksAgo }]) => ticksAgo <= this.memoryTicks));
  }

  /** The first configuration, once all first members agree and this node is to write it. */
  agreedConfiguration(newGroupId: GroupId): Configuration | undefined {
    const { nodeId, incarnation } = this.addressing;
    const { members } = this.options;
    if (this.founders === 0 || members.some((member) => member.nodeId < nodeId)) return undefined;
    const present = this.present();
    const agrees = ({ nodeId: other }: MemberDescription): boolean =>
      other === nodeId || this.isFounder(present.get(other));
    if (!members.every(agrees)) return undefined;
    const ofAll = members.map((member) =>
      memberOf(member.nodeId, {
        ...member,
        incarnation: member.nodeId === nodeId ? incarnation : present.get(member.nodeId)!.incarnation,
      }),
    );
    return votersOnly(ofAll, newGroupId);
  }

  private isFounder(other: Acquaintance | undefined): boolean {
    if (other === undefined || other.doubtTicks > 0) return false;
    return other.lastLogIndex === 0 && other.founders === this.fingerprint;
  }

  /** The members of the new group. */
  get firstMembers(): readonly MemberDescription[] {
    return this.options.members;
  }
}
