import { invariant } from '@concordat/foundation';

/**
 * Writes protocol buffers from the end to the beginning: so the length before a message is known without counting
 * first. Fields are written in descending order, and each value before its tag.
 *
 * A field with its default (0, false, empty) is left out, as in proto3.
 */
export class WireWriter {
  private readonly bytes: Buffer;
  private at: number;

  /** @param maximumBytes upper bound of the output */
  constructor(maximumBytes: number) {
    this.bytes = Buffer.allocUnsafe(maximumBytes);
    this.at = maximumBytes;
  }

  /** The start of the last written byte; the next write ends there. */
  get position(): number {
    return this.at;
  }

  /** An integer from 0 to 2^53-1. */
  integer(tag: number, value: number): void {
    if (value === 0) return;
    this.varint(value);
    this.varint(tag);
  }

  flag(tag: number, value: boolean): void {
    this.integer(tag, value ? 1 : 0);
  }

  /** An integer of 32 bits in four bytes. */
  fixed32(tag: number, value: number): void {
    if (value === 0) return;
    this.at = this.bytes.writeUInt32LE(value, this.at - 4) - 4;
    this.varint(tag);
  }

  data(tag: number, data: Uint8Array): void {
    if (data.length === 0) return;
    this.raw(data);
    this.varint(data.length);
    this.varint(tag);
  }

  /** Makes a message of everything written since the position was `end`. */
  message(tag: number, end: number): void {
    this.varint(end - this.at);
    this.varint(tag);
  }

  /** Bytes that are encoded already. */
  raw(bytes: Uint8Array): void {
    this.at -= bytes.length;
    this.bytes.set(bytes, this.at);
  }

  /** A view of everything written since the position was `end`. */
  writtenSince(end: number): Buffer {
    return this.bytes.subarray(this.at, end);
  }

  finish(): Buffer {
    invariant(this.at >= 0, 'a frame is not larger than was announced');
    return this.bytes.subarray(this.at);
  }

  /** Seven bits per byte, the lowest first; all but the last byte have their highest bit set. */
  private varint(value: number): void {
    if ((value & 0x7f) === value) {
      this.bytes[--this.at] = value;
    } else if ((value & 0x3fff) === value) {
      this.bytes[--this.at] = value >>> 7;
      this.bytes[--this.at] = (value & 0x7f) | 0x80;
    } else {
      this.longVarint(value);
    }
  }

  private longVarint(value: number): void {
    invariant(Number.isSafeInteger(value) && value >= 0, 'an integer of a message lies in 0..2^53-1');
    let length = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
    this.at -= length;
    let position = this.at;
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.bytes[position++] = (rest % 0x80) | 0x80;
    this.bytes[position] = rest;
  }
}
