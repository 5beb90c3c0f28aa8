import { isUtf8 } from 'node:buffer';
import { LIMITS, MESSAGE_VERSION, parseGid, type ProtocolMessage } from '@concordat/commit-protocol';
import { errorMessage, fitText, type JsonValue } from '@concordat/foundation';
import type { z } from 'zod';
import { MessageDecodeError, MessageEncodeError, type MessageRefusal } from './errors.js';
import { isMessage } from './message-check.js';
import { messageSchemas } from './schemas.js';

/** An encoded message on its way to the broker. */
export interface EncodedMessage {
  readonly topic: string;
  readonly key: Buffer | string | null;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Refusal {
  readonly reason: MessageRefusal;
  readonly message: string;
  readonly path?: string;
}

const schemaOfType = new Map<unknown, z.ZodType<ProtocolMessage>>(Object.entries(messageSchemas));

/**
 * What a process reads is always checked; what it writes itself only in tests and in development. There a mistake shows
 * at the sender. In production it shows as a dead letter, and no transfer pays for the check.
 */
const CHECKS_OWN_MESSAGES = process.env['NODE_ENV'] !== 'production';

/**
 * The wire form of a message: JSON in UTF-8, `{"v":1,"cluster":…,"type":…}`. Its size is always checked, by its bytes.
 *
 * @param isChecked whether the fields are checked as strictly as by a reader
 * @throws MessageEncodeError when no reader would accept the message
 */
export function encodeMessage(cluster: string, message: ProtocolMessage, isChecked = CHECKS_OWN_MESSAGES): Buffer {
  if (isChecked) {
    const refusal = refusalOf(check(cluster, message));
    if (refusal) throw new MessageEncodeError(refusal.reason, refusal.message, refusal.path);
  }
  const envelope = `{"v":${MESSAGE_VERSION},"cluster":${JSON.stringify(cluster)},`;
  const buffer = Buffer.from(envelope + JSON.stringify(message).slice('{'.length));
  const tooLarge = refuseBySize(buffer.length, message);
  if (tooLarge) throw new MessageEncodeError(tooLarge.reason, tooLarge.message, tooLarge.path);
  return buffer;
}

/**
 * Decodes a message and validates it fully. The cluster is checked first: a message of another cluster is never
 * interpreted.
 *
 * @throws MessageDecodeError, and no other error, for any bytes
 */
export function decodeMessage(cluster: string, buffer: Buffer | null): ProtocolMessage {
  const parsed = parse(buffer);
  if ('reason' in parsed) throw new MessageDecodeError(parsed.reason, parsed.message, parsed.path);
  const { v: version, cluster: named, ...fields } = parsed.fields;
  const stranger = refuseByEnvelope(cluster, named, version);
  if (stranger) throw new MessageDecodeError(stranger.reason, stranger.message, stranger.path);
  const checked = check(cluster, fields);
  const refusal = refusalOf(checked) ?? refuseBySize(parsed.sizeBytes, checked as ProtocolMessage);
  if (refusal) throw new MessageDecodeError(refusal.reason, refusal.message, refusal.path);
  return checked as ProtocolMessage;
}

function refuseByEnvelope(own: string, cluster: unknown, version: unknown): Refusal | undefined {
  if (typeof cluster === 'string' && cluster !== own) {
    const message = `the message is of the cluster ${describe(cluster)}; this reader belongs to "${own}"`;
    return { reason: 'OTHER_CLUSTER', message, path: 'cluster' };
  }
  if (version !== MESSAGE_VERSION) {
    const message = `version ${describe(version)} is unknown here; this reader knows ${MESSAGE_VERSION}`;
    return { reason: 'UNKNOWN_VERSION', message, path: 'v' };
  }
  if (cluster === own) return undefined;
  return {
    reason: 'INVALID_FIELD',
    message: `cluster: must be a cluster name, is ${describe(cluster)}`,
    path: 'cluster',
  };
}

/** The key keeps all messages about one transaction in order. */
export function messageKey(message: ProtocolMessage): string {
  return message.type === 'announce' ? message.participant : message.transactionId;
}

function parse(buffer: Buffer | null): { fields: Record<string, unknown>; sizeBytes: number } | Refusal {
  if (buffer === null || buffer.length === 0) return { reason: 'NOT_JSON', message: 'the message is empty' };
  if (buffer.length > LIMITS.messageBytes) return refuseMessageSize(buffer.length);
  if (!isUtf8(buffer)) return { reason: 'NOT_UTF8', message: 'the message is not UTF-8' };
  let value: unknown;
  try {
    value = JSON.parse(buffer.toString('utf8'));
  } catch (error) {
    return { reason: 'NOT_JSON', message: `the message is not JSON: ${fitText(errorMessage(error), 200)}` };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { reason: 'NOT_A_MESSAGE', message: 'the message is JSON but not an object' };
  }
  return { fields: value as Record<string, unknown>, sizeBytes: buffer.length };
}

function refusalOf(checked: ProtocolMessage | Refusal): Refusal | undefined {
  return 'reason' in checked ? checked : undefined;
}

/** The schemas are much slower, so they run only to explain a refusal. */
function check(cluster: string, fields: object): ProtocolMessage | Refusal {
  if (isMessage(fields)) return refuseByGid(cluster, fields) ?? fields;
  const type: unknown = 'type' in fields ? fields.type : undefined;
  const schema = schemaOfType.get(type);
  if (!schema) return { reason: 'UNKNOWN_TYPE', message: `the type ${describe(type)} is unknown here`, path: 'type' };
  const result = schema.safeParse(fields);
  if (!result.success) return describeIssue(String(type), result.error);
  return refuseByGid(cluster, result.data) ?? result.data;
}

/** A gid contains cluster, transaction and branch; they must be those of the message. */
function refuseByGid(cluster: string, message: ProtocolMessage): Refusal | undefined {
  if (message.type !== 'inquiry') return undefined;
  const named = parseGid(message.gid);
  if (named !== undefined && named.cluster !== cluster) {
    const complaint = `inquiry: gid: is of the cluster "${named.cluster}"; this one is "${cluster}"`;
    return { reason: 'OTHER_CLUSTER', message: complaint, path: 'gid' };
  }
  if (named?.transactionId === message.transactionId && named.branchId === message.branchId) return undefined;
  return { reason: 'INVALID_FIELD', message: 'inquiry: gid: must be that of the branch', path: 'gid' };
}

function describeIssue(type: string, error: z.ZodError): Refusal {
  const issue = error.issues[0]!;
  const extra = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const path = formatPath(extra === undefined ? issue.path : [...issue.path, extra]);
  const complaint = extra === undefined ? issue.message : 'unknown field';
  return { reason: 'INVALID_FIELD', message: fitText(`${type}: ${path}: ${complaint}`, 500), path: fitText(path, 200) };
}

function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? String(step) : `${text}.${String(step)}`;
  }, '');
}

/** Parts are measured only in messages large enough to contain one above its limit. */
function refuseBySize(sizeBytes: number, message: ProtocolMessage): Refusal | undefined {
  if (sizeBytes <= LIMITS.resultsBytes) return undefined;
  if (sizeBytes > LIMITS.messageBytes) return refuseMessageSize(sizeBytes);
  for (const { path, value, limit } of measuredParts(message)) {
    const partBytes = Buffer.byteLength(JSON.stringify(value));
    if (partBytes > limit) {
      const complaint = `${path}: ${partBytes} bytes, at most ${limit} are allowed`;
      return { reason: 'INVALID_FIELD', message: `${message.type}: ${complaint}`, path };
    }
  }
  return undefined;
}

function refuseMessageSize(sizeBytes: number): Refusal {
  const limit = LIMITS.messageBytes;
  return { reason: 'TOO_LARGE', message: `the message has ${sizeBytes} bytes, at most ${limit} are allowed` };
}

interface MeasuredPart {
  readonly path: string;
  readonly value: JsonValue;
  readonly limit: number;
}

function measuredParts(message: ProtocolMessage): MeasuredPart[] {
  switch (message.type) {
    case 'prepare':
    case 'commit-one-phase':
      return message.operations.map(({ payload }, index) => {
        return { path: `operations[${index}].payload`, value: payload, limit: LIMITS.payloadBytes };
      });
    case 'vote':
    case 'done':
      return message.results ? [{ path: 'results', value: message.results, limit: LIMITS.resultsBytes }] : [];
    default:
      return [];
  }
}

/** For an array or object only its kind: writing it out may overflow the stack. */
function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? '[…]' : '{…}';
  return fitText(JSON.stringify(value) ?? 'undefined', 80);
}
