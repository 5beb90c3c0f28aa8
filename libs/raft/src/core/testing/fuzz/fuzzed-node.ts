import { invariant, randomChance, type Random } from '@concordat/foundation';
import type { RaftCore } from '../../raft-core.js';
import type { PersistBatch } from '../../ready.js';
import { MAXIMUM_INTEGER, type Message } from '../../types.js';
import { between } from '../members.js';

const MAXIMUM_PASSES = 1000;

/**
 * A core under fire and the host that serves it, with a disk that takes its time. Whatever comes in, what a core
 * promises to its host holds: the term and the commit index never fall, entries are applied in order, each once, and
 * one `Ready` never holds more messages than `maximumMessages`.
 */
export class FuzzedNode {
  appliedIndex: number;
  private term: number;
  private commitIndex: number;
  private write: PersistBatch | undefined;
  private sent: readonly Message[] = [];

  /** @param core one that has written and applied everything so far */
  constructor(
    readonly core: RaftCore,
    private readonly random: Random,
    private readonly maximumMessages: number,
  ) {
    this.appliedIndex = core.commitIndex;
    this.term = core.term;
    this.commitIndex = core.commitIndex;
    this.settle();
  }

  /** Takes a message, and then goes on with what it has to do, or with a part of it. */
  take(message: Message): void {
    this.sent = [];
    this.core.step(message);
    if (randomChance(this.random, 0.1)) this.core.tick();
    this.run();
    this.check();
  }

  /** Does what the core wants; each time round, the write that is out may be finished, or not. */
  private run(): void {
    for (let pass = 0; this.core.hasReady() || this.core.hasCommitted; pass++) {
      invariant(pass < MAXIMUM_PASSES, 'a core comes to rest');
      if (this.write && randomChance(this.random, 0.7)) this.finishWrite();
      this.serve();
    }
  }

  /** Finishes all writes, until the core wants nothing more. */
  settle(): void {
    for (let pass = 0; this.write || this.core.hasReady() || this.core.hasCommitted; pass++) {
      invariant(pass < MAXIMUM_PASSES, 'a core comes to rest');
      if (this.write) this.finishWrite();
      this.serve();
    }
  }

  private serve(): void {
    const { core } = this;
    const ready = core.ready();
    const committed = core.takeCommitted();
    invariant(ready.messages.length <= this.maximumMessages, 'the messages of one pass are bounded');
    this.sent = [...this.sent, ...ready.messages];
    if (ready.persist) this.write = ready.persist;
    for (const { index } of committed) {
      invariant(index === this.appliedIndex + 1, 'entries are applied in order, each once');
      this.appliedIndex = index;
    }
    for (const { to, offset, maximumBytes } of ready.snapshotReads) {
      const metadata = core.snapshotMetadata(core.inspect().startIndex);
      const data = new Uint8Array(Math.max(0, Math.min(maximumBytes, 9 - offset)));
      const chunk = { metadata, sizeBytes: 9, checksum: 7, offset, data };
      core.sendSnapshotChunk(to, randomChance(this.random, 0.2) || offset > 9 ? undefined : chunk);
    }
    for (const chunk of ready.snapshotChunks) {
      const nextOffset = chunk.offset + chunk.data.length;
      core.snapshotChunkStored(chunk, { nextOffset, complete: nextOffset === chunk.sizeBytes });
    }
  }

  private finishWrite(): void {
    const batch = this.write!;
    this.write = undefined;
    if (batch.snapshot) this.appliedIndex = batch.snapshot.index;
    invariant(batch.messages.length <= this.maximumMessages, 'the promises of one write are bounded');
    this.sent = [...this.sent, ...batch.messages];
    this.core.advance(batch);
  }

  private check(): void {
    const { core } = this;
    invariant(core.term >= this.term, 'the term never falls');
    invariant(core.commitIndex >= this.commitIndex, 'the commit index never falls');
    invariant(core.commitIndex <= core.lastIndex, 'only entries that are there are committed');
    this.term = core.term;
    this.commitIndex = core.commitIndex;
  }

  /**
   * Takes an honest leader's entry and an honest candidate's request, each of a new term: the entry must be applied, the
   * vote be given.
   * @returns false when a forged message has brought the node to the last term or index there is
   */
  servesHonestNodes(): boolean {
    const { core } = this;
    const previousIndex = core.commitIndex;
    const index = previousIndex + 1;
    const term = core.term + 1;
    if (term + 1 > MAXIMUM_INTEGER || index > MAXIMUM_INTEGER) return false;
    const previousTerm = previousIndex === 0 ? 0 : core.termAt(previousIndex)!;
    const address = { ...between(2, core.nodeId) } as const;
    const entries = [{ index, term, kind: 'no-op', data: new Uint8Array(0) }] as const;
    const log = { previousIndex, previousTerm, entries, commitIndex: index };
    this.core.step({ type: 'append-entries', ...address, term, ...log, round: 0 });
    this.settle();
    invariant(core.leaderId === 2 && core.term === term, 'an honest leader of a later term is followed');
    invariant(this.appliedIndex === index, 'what an honest leader commits is applied');
    this.sent = [];
    const end = { lastLogIndex: index, lastLogTerm: term };
    this.core.step({ type: 'request-vote', ...address, term: term + 1, ...end, transfer: true });
    this.settle();
    const answer = this.sent.find((message) => message.type === 'request-vote-reply');
    invariant(answer?.granted === true, 'an honest candidate of a later term gets the vote');
    return true;
  }
}
