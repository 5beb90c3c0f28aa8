import type { Random } from '@concordat/foundation';
import type { RaftLog } from '../log/log.js';
import { MAXIMUM_INTEGER } from '../types.js';
import type { GroupId, Incarnation, Message, NodeId } from '../types.js';

/** An incarnation or the id of a group: 48 random bits, and never 0. */
export function randomId(random: Random): number {
  const bits = random.uint32() * 0x1_0000 + (random.uint32() & 0xffff);
  return 1 + (bits % MAXIMUM_INTEGER);
}

/** As people read and compare it: twelve hexadecimal digits, and `none` for 0. */
export function formatId(id: number): string {
  return id === 0 ? 'none' : id.toString(16).padStart(12, '0');
}

/** What every message begins with. */
export type Address = Pick<Message, 'from' | 'to' | 'fromIncarnation' | 'toIncarnation' | 'groupId' | 'term'>;

/** Who this node is, what it writes on its messages, and which ones are meant for it. */
export class Addressing {
  constructor(
    readonly nodeId: NodeId,
    readonly incarnation: Incarnation,
    private readonly log: RaftLog,
  ) {}

  /** 0 while the log is empty: it belongs to none yet. */
  get groupId(): GroupId {
    return this.log.configuration.groupId;
  }

  /** @param toIncarnation whom exactly it is meant for; 0: whoever has that id now */
  to(to: NodeId, toIncarnation: Incarnation, term: number): Address {
    const { nodeId: from, incarnation: fromIncarnation, groupId } = this;
    return { from, to, fromIncarnation, toIncarnation, groupId, term };
  }

  /** To the very sender. A node without a group answers in the group that it was asked in. */
  reply(message: Message, term: number): Address {
    const address = this.to(message.from, message.fromIncarnation, term);
    return address.groupId === 0 ? { ...address, groupId: message.groupId } : address;
  }

  /** Whether it is meant for this life of the node's directory. */
  isForThisIncarnation({ toIncarnation }: Message): boolean {
    return toIncarnation === 0 || toIncarnation === this.incarnation;
  }

  /** Whether it comes from this node's group. An empty node goes with whoever calls it; nobody belongs to two groups. */
  isOfThisGroup({ groupId }: Message): boolean {
    return groupId === 0 || this.groupId === 0 || groupId === this.groupId;
  }
}
