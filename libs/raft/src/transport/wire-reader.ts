import { MAXIMUM_INTEGER } from '../core/types.js';
import { MalformedFrameError } from './frame-limits.js';
import { wireTypes } from './wire-tags.js';

/** Maximum nesting of groups in a field of a later version; protobufjs has the same limit. */
const MAXIMUM_GROUP_DEPTH = 100;
const maximumVarintBytes = 10;

/**
 * Reads protocol buffers from untrusted bytes, within the bounds of the present message: `enter` and `leave`. Every
 * method throws MalformedFrameError when the bytes end too early or are no valid encoding.
 */
export class WireReader {
  private end: number;
  private readonly buffer: ArrayBufferLike;
  private readonly bufferOffset: number;
  /** of the next byte */
  position = 0;

  /** @param what the bytes should be, for error texts */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly what: 'a frame' | 'an echo',
  ) {
    this.end = bytes.length;
    this.buffer = bytes.buffer;
    this.bufferOffset = bytes.byteOffset;
  }

  /** Whether the present message has more bytes. */
  get hasMore(): boolean {
    return this.position < this.end;
  }

  /** Reads the length of a message and limits the reader to it; returns the argument of `leave`. */
  enter(): number {
    const length = this.length();
    const outerEnd = this.end;
    this.end = this.endOf(length);
    return outerEnd;
  }

  /** Continues after the present message, in the one around it. */
  leave(outerEnd: number): void {
    this.position = this.end;
    this.end = outerEnd;
  }

  /** A field's number and wire type: 32 bits at most. */
  tag(): number {
    const byte = this.next();
    return byte < 0x80 ? byte : this.varintOfFiveBytes(byte, 0x0f, 'tag');
  }

  /** An integer from 0 to 2^48; larger ones are refused. */
  integer(): number {
    let byte = this.next();
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let scale = 0x80;
    // Seven bytes are exact; further ones are multiples of 2^49, too large unless they are 0.
    for (let count = 1; count < maximumVarintBytes; count++) {
      byte = this.next();
      value += (byte & (count === maximumVarintBytes - 1 ? 1 : 0x7f)) * scale; // the 64th bit is the last
      scale *= 0x80;
      if (byte >= 0x80) continue;
      if (value > MAXIMUM_INTEGER) throw new MalformedFrameError('an integer is above 2^48');
      return value;
    }
    throw this.malformed(`an integer has more than ${maximumVarintBytes} bytes`);
  }

  /** The low 32 bits of an integer, as protocol buffers read shorter types. */
  uint32(): number {
    let value = 0;
    for (let count = 0; count < maximumVarintBytes; count++) {
      const byte = this.next();
      if (count < 5) value |= (byte & 0x7f) << (7 * count);
      if (byte < 0x80) return value >>> 0;
    }
    throw this.malformed(`an integer has more than ${maximumVarintBytes} bytes`);
  }

  /** Whether an integer is not 0. */
  flag(): boolean {
    let bits = 0;
    for (let count = 0; count < maximumVarintBytes; count++) {
      const byte = this.next();
      bits |= byte & 0x7f;
      if (byte < 0x80) return bits !== 0;
    }
    throw this.malformed(`a flag has more than ${maximumVarintBytes} bytes`);
  }

  fixed32(): number {
    const at = this.position;
    this.advance(4);
    const [first = 0, second = 0, third = 0, fourth = 0] = this.bytes.subarray(at, at + 4);
    return (first | (second << 8) | (third << 16) | (fourth << 24)) >>> 0;
  }

  /** A view of the bytes; a Buffer would take three times as long to make. */
  data(): Uint8Array {
    const length = this.length();
    const start = this.position;
    this.advance(length);
    return new Uint8Array(this.buffer, this.bufferOffset + start, length);
  }

  /** Skips the value of an unknown field, or of a known one with another wire type. */
  skip(tag: number): void {
    this.skipField(tag, 0);
  }

  private skipField(tag: number, depth: number): void {
    const field = tag >>> 3;
    if (field === 0) throw this.malformed('a field has the number 0');
    switch (tag & 7) {
      case wireTypes.varint:
        while (this.next() >= 0x80);
        return;
      case wireTypes.fixed64:
        return this.advance(8);
      case wireTypes.bytes:
        return this.advance(this.length());
      case wireTypes.groupStart:
        return this.skipGroup(field, depth + 1);
      case wireTypes.fixed32:
        return this.advance(4);
      default:
        throw this.malformed(`field ${field} has the wire type ${tag & 7}`);
    }
  }

  /** Up to the end mark with the same number. */
  private skipGroup(field: number, depth: number): void {
    if (depth > MAXIMUM_GROUP_DEPTH) throw this.malformed(`groups are more than ${MAXIMUM_GROUP_DEPTH} deep`);
    let tag = this.tag();
    for (; (tag & 7) !== wireTypes.groupEnd; tag = this.tag()) this.skipField(tag, depth);
    if (tag >>> 3 !== field) throw this.malformed(`group ${field} ends as group ${tag >>> 3}`);
  }

  private length(): number {
    const byte = this.next();
    return byte < 0x80 ? byte : this.varintOfFiveBytes(byte, 0x07, 'length');
  }

  /** @param lastLimit the greatest fifth byte, so that the value has at most 31 or 32 bits */
  private varintOfFiveBytes(first: number, lastLimit: number, what: string): number {
    let value = first & 0x7f;
    for (let shift = 7; shift < 35; shift += 7) {
      const byte = this.next();
      if (shift === 28 && byte > lastLimit) throw this.malformed(`a ${what} is too large`);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value >>> 0;
  }

  private next(): number {
    if (this.position >= this.end) throw this.malformed('the bytes end too early');
    return this.bytes[this.position++]!;
  }

  private advance(length: number): void {
    this.position = this.endOf(length);
  }

  private endOf(length: number): number {
    const end = this.position + length;
    if (end > this.end) throw this.malformed(`${length} bytes go beyond the end of what holds them`);
    return end;
  }

  private malformed(reason: string): MalformedFrameError {
    return new MalformedFrameError(`${this.what} could not be read: ${reason}`);
  }
}
