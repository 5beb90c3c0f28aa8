import type { Random } from '@concordat/foundation';
import { MAXIMUM_INTEGER } from '../types.js';

/** An incarnation or the id of a group: 48 random bits, and never 0. */
export function randomId(random: Random): number {
  const bits = random.uint32() * 0x1_0000 + (random.uint32() & 0xffff);
  return 1 + (bits % MAXIMUM_INTEGER);
}

/** As people read and compare it: twelve hexadecimal digits, and `none` for 0. */
export function formatId(id: number): string {
  return id === 0 ? 'none' : id.toString(16).padStart(12, '0');
}
