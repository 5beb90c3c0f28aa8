import { invariant } from '@concordat/foundation';
import type { PackedState } from './world.js';

const CHUNK_WORDS = 1 << 18;

/** States that wait for their turn, first in first out, one behind the other in large arrays that are dropped once read. */
export class PackedQueue {
  private readonly chunks: Int32Array[] = [new Int32Array(CHUNK_WORDS)];
  private writeOffset = 0;
  private readOffset = 0;
  private count = 0;

  get size(): number {
    return this.count;
  }

  push(state: PackedState): void {
    invariant(state.length < CHUNK_WORDS, 'a state fits into one chunk of the queue');
    if (this.writeOffset + state.length + 1 > CHUNK_WORDS) {
      this.chunks.push(new Int32Array(CHUNK_WORDS));
      this.writeOffset = 0;
    }
    const chunk = this.chunks[this.chunks.length - 1];
    invariant(chunk, 'a queue has a chunk to write to');
    chunk[this.writeOffset] = state.length;
    chunk.set(state, this.writeOffset + 1);
    this.writeOffset += state.length + 1;
    this.count++;
  }

  /** The oldest state, which is the caller's own from then on. */
  shift(): PackedState {
    invariant(this.count > 0, 'a state waits');
    this.count--;
    let chunk = this.chunks[0];
    // No state has the length 0, so a 0 (or the end) means that the rest of the chunk was left empty.
    if (this.readOffset >= CHUNK_WORDS || !chunk?.[this.readOffset]) {
      this.chunks.shift();
      this.readOffset = 0;
      chunk = this.chunks[0];
    }
    const length = chunk?.[this.readOffset] ?? 0;
    invariant(chunk && length > 0, 'a state that waits has words');
    const start = this.readOffset + 1;
    this.readOffset = start + length;
    return chunk.slice(start, start + length);
  }
}
