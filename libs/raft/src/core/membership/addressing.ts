import type { Random } from '@concordat/foundation';
import type { RaftLog } from '../log/log.js';
import { MAXIMUM_INTEGER } from '../types.js';
import type { GroupId, Incarnation, Message, NodeId } from '../types.js';

/** An incarnation or the id of a group: 48 random bits, and never 0. */
export function randomId(random: Random): number {
  const bits = random.uint32() * 0x1_0000 + (random.uint32() & 0xffff);
  return 1 + (bits % MAXIMUM_INTEGER);
}

/** For people: twelve hexadecimal digits, and `none` for 0. */
export function formatId(id: number): string {
  return id === 0 ? 'none' : id.toString(16).padStart(12, '0');
}

/** The first fields of every message. */
export type Address = Pick<Message, 'from' | 'to' | 'fromIncarnation' | 'toIncarnation' | 'groupId' | 'term'>;

/** The identity of this node: it addresses messages, and recognises those for this node. */
export class Addressing {
  constructor(
    readonly nodeId: NodeId,
    readonly incarnation: Incarnation,
    private readonly log: RaftLog,
  ) {}

  /** 0 while the log is empty: the node belongs to no group. */
  get groupId(): GroupId {
    return this.log.configuration.groupId;
  }

  /** @param toIncarnation the addressed incarnation; 0: the present one */
  to(to: NodeId, toIncarnation: Incarnation, term: number): Address {
    const { nodeId: from, incarnation: fromIncarnation, groupId } = this;
    return { from, to, fromIncarnation, toIncarnation, groupId, term };
  }

  /** To the sender's incarnation. A node without a group answers in the sender's group. */
  reply(message: Message, term: number): Address {
    const address = this.to(message.from, message.fromIncarnation, term);
    return address.groupId === 0 ? { ...address, groupId: message.groupId } : address;
  }

  /** Whether it is for this incarnation. */
  isForThisIncarnation({ toIncarnation }: Message): boolean {
    return toIncarnation === 0 || toIncarnation === this.incarnation;
  }

  /** Whether it is from this node's group. An empty node accepts every group. */
  isOfThisGroup({ groupId }: Message): boolean {
    return groupId === 0 || this.groupId === 0 || groupId === this.groupId;
  }
}
