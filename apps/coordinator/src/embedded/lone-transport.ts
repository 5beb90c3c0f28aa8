import type { Message, NodeIdentity, RaftTransport } from '@concordat/raft';

/** No member of any group: stands for another node in the messages below. */
const OTHER_NODE = 999_999_999;

/**
 * The transport of a group of one node: there is nobody to talk to. What another node would say at a change of
 * leadership can be said in its place, so that the node goes the way that it goes in a larger group.
 */
export class LoneTransport implements RaftTransport {
  private onMessage: ((message: Message) => void) | undefined;
  private groupId = 0;

  constructor(private readonly nodeId: number) {}

  async start(onMessage: (message: Message) => void): Promise<void> {
    this.onMessage = onMessage;
  }

  setIdentity({ groupId }: NodeIdentity): void {
    this.groupId = groupId;
  }

  setPeers(): void {
    return undefined; // there are none
  }

  send(): void {
    return undefined; // to nobody
  }

  isConnected(): boolean {
    return false;
  }

  async stop(): Promise<void> {
    this.onMessage = undefined;
  }

  /** Another node is in a later term: a leader learns that it was deposed. */
  depose(term: number): void {
    this.onMessage?.({ type: 'append-entries-accepted', ...this.envelope(term + 1), matchIndex: 0, round: 0 });
  }

  /** The leader of this term hands over: the node stands for election at once, instead of after a timeout. */
  handOver(term: number): void {
    this.onMessage?.({ type: 'timeout-now', ...this.envelope(term) });
  }

  private envelope(term: number) {
    const { nodeId: to, groupId } = this;
    return { from: OTHER_NODE, to, fromIncarnation: 1, toIncarnation: 0, groupId, term };
  }
}
