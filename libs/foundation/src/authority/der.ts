/**
 * The few pieces of DER (ITU-T X.690) that a certificate is made of: each value is a tag, the length of its content
 * and the content.
 */

const bitStringTag = 0x03;
const sequenceTag = 0x30;

/** Any value, by its tag. */
export function tagged(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body]);
}

/** Up to 127 in one byte, else the count of the bytes that follow and the length in them. */
function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const digits = Buffer.alloc(4);
  digits.writeUInt32BE(length);
  const significant = digits.subarray(digits.findIndex((digit) => digit > 0));
  return Buffer.concat([Buffer.from([0x80 | significant.length]), significant]);
}

export function sequence(...items: readonly Uint8Array[]): Buffer {
  return tagged(sequenceTag, ...items);
}

export function set(...items: readonly Uint8Array[]): Buffer {
  return tagged(0x31, ...items);
}

/** Of a positive number, whose first byte must not look like a sign. */
export function integer(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte > 0);
  const digits = start < 0 ? Uint8Array.of(0) : bytes.subarray(start);
  return tagged(0x02, digits[0]! >= 0x80 ? Uint8Array.of(0) : new Uint8Array(0), digits);
}

export function boolean(value: boolean): Buffer {
  return tagged(0x01, Uint8Array.of(value ? 0xff : 0));
}

export function octetString(bytes: Uint8Array): Buffer {
  return tagged(0x04, bytes);
}

export function bitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return tagged(bitStringTag, Uint8Array.of(unusedBits), bytes);
}

export function utf8String(text: string): Buffer {
  return tagged(0x0c, Buffer.from(text, 'utf8'));
}

/** An object identifier such as `1.2.840`: the first two numbers in one byte, the others in groups of seven bits. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...others] = dotted.split('.').map(Number);
  return tagged(0x06, Uint8Array.from([first * 40 + second, ...others.flatMap(sevenBitGroups)]));
}

function sevenBitGroups(value: number): number[] {
  const groups = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) groups.unshift(0x80 | (rest & 0x7f));
  return groups;
}

/** With two digits for the year up to 2049, as X.509 wants it (RFC 5280, section 4.1.2.5). */
export function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/\.\d+/, '').replace(/[-:T]/g, '');
  return date.getUTCFullYear() < 2050 ? tagged(0x17, Buffer.from(digits.slice(2))) : tagged(0x18, Buffer.from(digits));
}
