import { invariant } from '@concordat/foundation';
import type { PackedState } from './world.js';

const INITIAL_CAPACITY = 1 << 16;
const MAXIMUM_LOAD = 0.6;
/** Inside the sandbox that tests run in, every look at a global is slow, and this is called for every word. */
const { imul } = Math;

/** One round of MurmurHash3's 32-bit mixing. */
function mix(hash: number, value: number, seed: number): number {
  let word = imul(value ^ seed, 0xcc9e2d51);
  word = (word << 15) | (word >>> 17);
  let mixed = hash ^ imul(word, 0x1b873593);
  mixed = (mixed << 13) | (mixed >>> 19);
  return (imul(mixed, 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let mixed = hash;
  mixed = imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/**
 * A set of fingerprints, numbered in the order in which they were added. Keeps 64 bits of hash of each and nothing
 * else, in typed arrays: about 20 bytes a state. Two different states may share a hash: with n states the
 * chance that any two do is about n² / 2⁶⁵, 3 in 10⁸ for a million.
 */
export class FingerprintTable {
  private capacity = INITIAL_CAPACITY;
  /** one more than the number of the fingerprint in a slot; 0 for an empty slot */
  private slots = new Uint32Array(INITIAL_CAPACITY);
  private low = new Uint32Array(INITIAL_CAPACITY);
  private high = new Uint32Array(INITIAL_CAPACITY);
  private count = 0;
  private hashLow = 0;
  private hashHigh = 0;

  get size(): number {
    return this.count;
  }

  /** Adds a fingerprint; false when it was there already. */
  add(fingerprint: PackedState): boolean {
    this.hash(fingerprint, fingerprint.length);
    return this.insert(this.hashLow, this.hashHigh);
  }

  /** @param length of the fingerprint, for one that lies at the beginning of a larger array */
  has(fingerprint: PackedState, length = fingerprint.length): boolean {
    this.hash(fingerprint, length);
    return this.slots[this.slotOf(this.hashLow, this.hashHigh)] !== 0;
  }

  /** Leaves both halves in fields: an object for each state would cost more than the hash. */
  private hash(fingerprint: PackedState, length: number): void {
    let low = length;
    let high = ~length;
    for (let index = 0; index < length; index++) {
      const word = fingerprint[index] ?? 0;
      low = mix(low, word, 0);
      high = mix(high, word, 0x5bd1e995);
    }
    this.hashLow = finish(low);
    this.hashHigh = finish(high);
  }

  private insert(low: number, high: number): boolean {
    const slot = this.slotOf(low, high);
    if (this.slots[slot] !== 0) return false;
    this.slots[slot] = this.count + 1;
    this.low[this.count] = low;
    this.high[this.count] = high;
    this.count++;
    if (this.count > this.capacity * MAXIMUM_LOAD) this.grow();
    return true;
  }

  private slotOf(low: number, high: number): number {
    const mask = this.capacity - 1;
    let slot = low & mask;
    for (;;) {
      const entry = this.slots[slot] ?? 0;
      if (entry === 0) return slot;
      if (this.low[entry - 1] === low && this.high[entry - 1] === high) return slot;
      slot = (slot + 1) & mask;
    }
  }

  private grow(): void {
    this.capacity *= 2;
    invariant(this.capacity <= 2 ** 31, 'a table of fingerprints has at most 2^31 slots');
    this.low = enlarged(this.low, this.capacity);
    this.high = enlarged(this.high, this.capacity);
    this.slots = new Uint32Array(this.capacity);
    for (let number = 0; number < this.count; number++) {
      this.slots[this.slotOf(this.low[number] ?? 0, this.high[number] ?? 0)] = number + 1;
    }
  }
}

function enlarged(words: Uint32Array, capacity: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(capacity);
  larger.set(words);
  return larger;
}
