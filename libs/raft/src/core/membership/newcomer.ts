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

/** Who a node is before its group knows it. */
export interface NewcomerOptions {
  /** where the group is, or is to be: this node and the others */
  readonly members: readonly MemberDescription[];
  /** whether it may found a group with them */
  readonly founds: boolean;
  /** whether this directory knows of a group already: it is in a term, and a first founding begins before all terms */
  readonly knowsOfGroup: boolean;
  readonly electionTicks: number;
}

/** What another node last said of itself. */
export interface Acquaintance {
  readonly incarnation: Incarnation;
  readonly groupId: GroupId;
  readonly lastLogIndex: number;
  readonly founders: number;
  readonly leaderId: NodeId;
  /** under which it knows this node; 0: it does not */
  readonly knownIncarnation: Incarnation;
  ticksAgo: number;
  /** for so long two of that id have spoken */
  doubtTicks: number;
}

const encoder = new TextEncoder();

/** A number that two lists of members share when they are the same. Never 0. */
export function fingerprint(members: readonly MemberDescription[]): number {
  const sorted = [...members].sort((left, right) => left.nodeId - right.nodeId);
  const text = JSON.stringify(sorted.map(({ nodeId, address, data, priority }) => [nodeId, address, data, priority]));
  let hash = 0x811c9dc5;
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return 1 + (hash >>> 0);
}

/**
 * The node while its group does not know it: its directory is empty, or the group goes on with another incarnation of
 * it. It introduces itself to the others, and has no say until a leader brings it the log.
 *
 * A group is founded once, by agreement of all: each of its first members is seen with an empty directory and the same
 * list of members, and then the lowest id writes the first entry, with a new group id and the incarnations of all. One
 * node with a past, or one that is missing, and nobody founds anything.
 *
 * Whoever has heard of a past never founds a group with that directory, even if all others have lost theirs since: the
 * core notes it in the term, which is durable. So directories that are lost one after another are no first start.
 */
export class Newcomer {
  private readonly acquaintances = new Map<NodeId, Acquaintance>();
  private readonly fingerprint: number;
  private ticksToIntroduction: number;
  private hasHeardOfPast: boolean;
  /** the last message of a leader that was meant for another incarnation of this node is so long ago */
  private missedTicksAgo = Infinity;
  private caller: NodeId | undefined;

  constructor(
    private readonly options: NewcomerOptions,
    private readonly addressing: Addressing,
    private readonly log: RaftLog,
  ) {
    const { members, electionTicks } = options;
    this.hasHeardOfPast = options.knowsOfGroup;
    const founds = options.founds && this.isEmpty && members.some(({ nodeId }) => nodeId === addressing.nodeId);
    this.fingerprint = founds ? fingerprint(members) : 0;
    this.ticksToIntroduction = Math.ceil(electionTicks / 2);
  }

  get isEmpty(): boolean {
    return this.log.lastIndex === 0;
  }

  /** 0 when it is not willing to found a group, or not any more. */
  get founders(): number {
    return this.isEmpty && !this.hasHeardOfPast ? this.fingerprint : 0;
  }

  /** Whether the group that its directory lacks has a past, as far as anybody ever told. */
  get knowsOfGroup(): boolean {
    return this.hasHeardOfPast;
  }

  /** Whether it would found a group, had it not heard of a past. */
  get isKeptFromFounding(): boolean {
    return this.isEmpty && this.hasHeardOfPast && this.fingerprint !== 0;
  }

  /** Whether its group goes on with another incarnation of it, as its log or the others' messages say. */
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

  // --- introductions

  /** One tick; true when it is time to introduce itself again. */
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

  /** Whom it introduces itself to: everybody it has heard of, a leader that it was not told of among them. */
  recipients(): NodeId[] {
    const named = [...this.options.members, ...this.log.configuration.members].map(({ nodeId }) => nodeId);
    const known = this.caller === undefined ? named : [...named, this.caller];
    return [...new Set(known)].filter((nodeId) => nodeId !== this.addressing.nodeId);
  }

  /** A message of a leader came that is meant for another incarnation of it. */
  missed(leaderId: NodeId): void {
    this.missedTicksAgo = 0;
    this.hasHeardOfPast = true;
    this.caller = leaderId;
  }

  /** Another one has said who it is. */
  met(message: Introduction | IntroductionReply): void {
    const { from, fromIncarnation: incarnation, groupId, lastLogIndex, founders } = message;
    if (lastLogIndex > 0) this.hasHeardOfPast = true;
    const before = this.acquaintances.get(from);
    const isTwofold = before !== undefined && before.incarnation !== incarnation && before.ticksAgo <= this.memoryTicks;
    const isReply = message.type === 'introduction-reply';
    this.acquaintances.set(from, {
      incarnation,
      groupId,
      lastLogIndex,
      founders,
      leaderId: isReply ? message.leaderId : 0,
      knownIncarnation: isReply ? message.knownIncarnation : 0,
      ticksAgo: 0,
      doubtTicks: isTwofold ? this.memoryTicks : (before?.doubtTicks ?? 0),
    });
  }

  /** Those that were heard lately. */
  present(): ReadonlyMap<NodeId, Acquaintance> {
    return new Map([...this.acquaintances].filter(([, { ticksAgo }]) => ticksAgo <= this.memoryTicks));
  }

  // --- founding

  /** The first configuration, once all first members agree and it is this node that writes it down. */
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

  /** Whom the group is to begin with. */
  get firstMembers(): readonly MemberDescription[] {
    return this.options.members;
  }
}
