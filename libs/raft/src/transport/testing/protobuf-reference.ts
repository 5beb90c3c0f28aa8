import { readFileSync } from 'node:fs';
import { randomInteger, type Random } from '@concordat/foundation';
import protobuf from 'protobufjs';
import { decodeConfiguration, encodeConfiguration } from '../../core/membership/configuration-codec.js';
import type { Message } from '../../core/types.js';
import { wireKinds } from '../wire-tags.js';

/*
 * The wire format as protobufjs understands the schema `raft.proto`: what our own codec is compared with.
 * Nothing is checked here, so frames can be made that no node sends.
 */

// In a message without fields protobufjs does not find the end of a group, so the one such message gets a field.
const schema = readFileSync(new URL('../raft.proto', import.meta.url), 'utf8');
const { root } = protobuf.parse(schema.replace('message TimeoutNow {}', 'message TimeoutNow { bool none = 99999; }'));
const frameType = root.lookupType('concordat.raft.v1.Frame');

type WireObject = Readonly<Record<string, unknown>>;

/** What protobufjs writes. */
export function protobufFrame(messages: readonly Message[], ping = 0): Buffer {
  return Buffer.from(frameType.encode({ messages: messages.map(toWire), ping }).finish());
}

/**
 * The same frame as a writer of another making may write it: fields in any order, defaults written out, fields that
 * are not known in between.
 */
export function looseFrame(random: Random, messages: readonly Message[], ping = 0): Buffer {
  return Buffer.from(looseMessage(random, frameType, { messages: messages.map(toWire), ping }));
}

/** What protobufjs reads; throws its errors. Numbers above 2^53 are not exact. */
export function readByProtobuf(bytes: Uint8Array): { readonly messages: readonly Message[]; readonly ping: number } {
  const { messages, ping } = frameType.toObject(frameType.decode(bytes), {
    defaults: true,
    longs: Number,
    enums: Number,
    oneofs: true,
  }) as { readonly messages: readonly WireObject[]; readonly ping: number };
  return { messages: messages.map(fromWire), ping };
}

function toWire(message: Message): WireObject {
  const { type, from, to, fromIncarnation, toIncarnation, groupId, term, ...content } = message;
  return {
    from,
    to,
    fromIncarnation,
    toIncarnation,
    groupId,
    term,
    [camelCase(type)]: wireContent(message) ?? content,
  };
}

/** Undefined where the fields of the content are those of the message. */
function wireContent(message: Message): WireObject | undefined {
  if (message.type === 'append-entries') {
    const entries = message.entries.map(({ term, kind, data }) => ({ term, kind: wireKinds[kind], data }));
    return { ...message, entries };
  }
  if (message.type === 'snapshot-chunk') {
    const { index, term, configuration } = message.metadata;
    return { ...message, index, term, configuration: encodeConfiguration(configuration) };
  }
  return undefined;
}

function fromWire({ content, ...others }: WireObject): Message {
  const { from, to, fromIncarnation, toIncarnation, groupId, term, ...contents } = others;
  const fields = contents[String(content)] as WireObject;
  const type = String(content).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return {
    type,
    from,
    to,
    fromIncarnation,
    toIncarnation,
    groupId,
    term,
    ...ownFields(type, fields),
  } as unknown as Message;
}

function ownFields(type: string, fields: WireObject): WireObject {
  if (type === 'timeout-now') return {};
  if (type === 'append-entries') {
    const kinds = Object.fromEntries(Object.entries(wireKinds).map(([kind, number]) => [number, kind]));
    const entries = (fields['entries'] as readonly WireObject[]).map((entry, position) => ({
      ...entry,
      index: Number(fields['previousIndex']) + 1 + position,
      kind: kinds[Number(entry['kind'])],
    }));
    return { ...fields, entries };
  }
  if (type === 'snapshot-chunk') {
    const { index, term, configuration, ...others } = fields;
    return { ...others, metadata: { index, term, configuration: decodeConfiguration(configuration as Uint8Array) } };
  }
  return fields;
}

function camelCase(type: string): string {
  return type.replace(/-[a-z]/g, (match) => match.slice(1).toUpperCase());
}

function looseMessage(random: Random, type: protobuf.Type, value: WireObject): Uint8Array {
  const pieces = [unknownField(random), unknownField(random)];
  for (const field of type.fieldsArray) {
    const written = value[field.name];
    if (written === undefined) continue;
    // The entries and messages of a list keep their order: together they are one piece.
    const values = field.repeated ? (written as readonly unknown[]) : [written];
    pieces.push(Buffer.concat(values.map((item) => looseField(random, field, item))));
  }
  for (let last = pieces.length - 1; last > 0; last--) {
    const other = randomInteger(random, 0, last);
    [pieces[last], pieces[other]] = [pieces[other]!, pieces[last]!];
  }
  return Buffer.concat(pieces);
}

function looseField(random: Random, field: protobuf.Field, value: unknown): Uint8Array {
  const { id, resolvedType, type } = field.resolve();
  const writer = protobuf.Writer.create();
  if (resolvedType instanceof protobuf.Type)
    return writer
      .uint32((id << 3) | 2)
      .bytes(looseMessage(random, resolvedType, value as WireObject))
      .finish();
  if (type === 'bytes')
    return writer
      .uint32((id << 3) | 2)
      .bytes(value as Uint8Array)
      .finish();
  if (type === 'fixed32')
    return writer
      .uint32((id << 3) | 5)
      .fixed32(Number(value))
      .finish();
  return Buffer.concat([writer.uint32(id << 3).finish(), longVarint(random, Number(value))]);
}

/** With up to three bytes more than needed. */
function longVarint(random: Random, value: number): Uint8Array {
  const bytes = Buffer.from(protobuf.Writer.create().uint64(value).finish());
  const more = Math.min(randomInteger(random, 0, 3), 10 - bytes.length);
  if (more === 0) return bytes;
  bytes[bytes.length - 1] = bytes.at(-1)! | 0x80;
  return Buffer.concat([bytes, Buffer.alloc(more - 1, 0x80), Buffer.alloc(1)]);
}

/** Of every wire type, a group among them. */
function unknownField(random: Random): Uint8Array {
  const writer = protobuf.Writer.create();
  const tag = randomInteger(random, 100_000, 2 ** 29 - 1) * 8;
  const value = random.uint32();
  switch (randomInteger(random, 0, 4)) {
    case 0:
      return writer.uint32(tag).uint64(value).finish();
    case 1:
      return writer
        .uint32(tag + 1)
        .fixed64(value)
        .finish();
    case 2:
      return writer
        .uint32(tag + 2)
        .bytes(Buffer.alloc(value % 300))
        .finish();
    case 3:
      return writer
        .uint32(tag + 5)
        .fixed32(value)
        .finish();
    default:
      return writer
        .uint32(tag + 3)
        .uint32(8)
        .uint32(value)
        .uint32(tag + 4)
        .finish();
  }
}
