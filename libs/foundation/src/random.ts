import { invariant } from './invariant.js';

/** Randomness as a port, so that a run can be repeated from its seed. */
export interface Random {
  /** a uniformly distributed integer in 0..2^32-1 */
  uint32(): number;
}

/** A uniform number in [0, 1). */
export function randomFraction(random: Random): number {
  return random.uint32() / 0x1_0000_0000;
}

/** A uniform integer in [minimum, maximum], both inclusive. */
export function randomInteger(random: Random, minimum: number, maximum: number): number {
  invariant(minimum <= maximum, 'a random range is not empty');
  return minimum + Math.floor(randomFraction(random) * (maximum - minimum + 1));
}

/** True with the given probability. */
export function randomChance(random: Random, probability: number): boolean {
  return randomFraction(random) < probability;
}

/** One of the items, uniformly. */
export function randomItem<T>(random: Random, items: readonly T[]): T {
  invariant(items.length > 0, 'there is an item to choose');
  return items[randomInteger(random, 0, items.length - 1)]!;
}

/** Cryptographic randomness of the platform, drawn in blocks because each draw is a system call. */
export class SystemRandom implements Random {
  private readonly block = new Uint32Array(256);
  private used = this.block.length;

  uint32(): number {
    if (this.used === this.block.length) {
      crypto.getRandomValues(this.block);
      this.used = 0;
    }
    return this.block[this.used++]!;
  }
}

/**
 * A repeatable generator: sfc32, 128 bits of state, period of at least 2^32 (Chris Doty-Humphrey, PractRand).
 * Not for secrets.
 */
export class SeededRandom implements Random {
  private a = 0;
  private b: number;
  private c = 0;
  private counter = 1;

  constructor(readonly seed: number) {
    this.b = seed | 0;
    for (let i = 0; i < 12; i++) this.uint32(); // spreads the seed over the state
  }

  uint32(): number {
    const result = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + result) | 0;
    return result >>> 0;
  }

  /** An independent generator, so that one consumer's draws do not shift another's. */
  fork(): SeededRandom {
    return new SeededRandom(this.uint32());
  }
}
