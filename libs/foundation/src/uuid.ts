import type { Random } from './random.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Whether a string is a UUID in its canonical lower-case form (RFC 9562, section 4). */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * Makes UUIDs of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 random bits of which the
 * first 12 count within one millisecond, so that the ids of one generator only grow (section 6.2, method 1).
 */
export class UuidV7Generator {
  private lastMs = -1;
  private counter = 0;

  constructor(
    private readonly now: () => number,
    private readonly random: Random,
  ) {}

  next(): string {
    const now = Math.floor(this.now());
    if (now > this.lastMs) {
      this.lastMs = now;
      this.counter = this.random.uint32() & 0x7ff; // the upper half is left for counting
    } else if (++this.counter > 0xfff) {
      this.lastMs++; // more than 2,048 in one millisecond, or the clock went back: use the next millisecond
      this.counter = this.random.uint32() & 0x7ff;
    }
    const ms = this.lastMs;
    const high = this.random.uint32();
    const low = this.random.uint32();
    const h = (byte: number): string => HEX[byte & 0xff]!;
    return (
      `${h(ms / 2 ** 40)}${h(ms / 2 ** 32)}${h(ms / 2 ** 24)}${h(ms / 2 ** 16)}-${h(ms / 2 ** 8)}${h(ms)}` +
      `-${h(0x70 | (this.counter >>> 8))}${h(this.counter)}-${h(0x80 | ((high >>> 24) & 0x3f))}${h(high >>> 16)}` +
      `-${h(high >>> 8)}${h(high)}${h(low >>> 24)}${h(low >>> 16)}${h(low >>> 8)}${h(low)}`
    );
  }
}

/** The time inside a UUID of version 7, in milliseconds since 1970; undefined for any other version. */
export function uuidV7Time(uuid: string): number | undefined {
  if (uuid[14] !== '7') return undefined;
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}
