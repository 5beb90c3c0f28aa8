import { invariant } from '@concordat/foundation';
import type { Message } from '../types.js';

/** Promises that wait for a disk; beyond, the oldest are dropped, as a network might (the peer asks again). */
const MAXIMUM_WAITING_PROMISES = 10_000;

/**
 * Outgoing messages, sorted by what must be durable first.
 *
 * A promise (vote, acknowledgement) may leave when everything the node knew when it made it is durable: with the write
 * in flight if nothing changed after that, otherwise with the next one. So the disk covers everything a peer has
 * received, and a crash undoes nothing.
 */
export class PromiseGate {
  private free: Message[] = [];
  private behindInflight: Message[] = [];
  private behindNext: Message[] = [];

  hasFree(): boolean {
    return this.free.length > 0;
  }

  /** Promises nothing: may overtake any write. */
  send(message: Message): void {
    this.free.push(message);
  }

  /** A promise; `dirty`: something is not handed out yet, `inflight`: a write is in flight. */
  promise(message: Message, dirty: boolean, inflight: boolean): void {
    if (!dirty && !inflight) return this.send(message);
    const waiting = dirty ? this.behindNext : this.behindInflight;
    if (waiting.length >= MAXIMUM_WAITING_PROMISES) waiting.shift();
    waiting.push(message);
  }

  takeFree(): Message[] {
    const messages = this.free;
    this.free = [];
    return messages;
  }

  /** A batch is handed out: the promises that wait for it. */
  takeForBatch(): Message[] {
    invariant(this.behindInflight.length === 0, 'no promise waits for a write that is not out');
    const messages = this.behindNext;
    this.behindNext = [];
    return messages;
  }

  /** The write in flight is durable. */
  batchDurable(): void {
    this.free.push(...this.behindInflight);
    this.behindInflight = [];
  }
}
