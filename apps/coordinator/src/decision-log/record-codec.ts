import { codedError } from '@concordat/foundation';
import type { LogRecord } from '@concordat/commit-protocol';

/** First byte of every command: the version of the format. */
const VERSION = 1;

/** A command that this version cannot read: a newer node wrote it, or the log is damaged. */
export class RecordDecodeError extends codedError('RECORD_UNREADABLE') {}

/** A record as a Raft command: a version byte and JSON. */
export function encodeRecord(record: LogRecord): Uint8Array {
  const json = JSON.stringify(record);
  const bytes = Buffer.allocUnsafe(1 + Buffer.byteLength(json));
  bytes[0] = VERSION;
  bytes.write(json, 1);
  return bytes;
}

/** @throws RecordDecodeError */
export function decodeRecord(command: Uint8Array): LogRecord {
  if (command[0] !== VERSION) {
    throw new RecordDecodeError(`a log record has version ${command[0]}, this node reads version ${VERSION}`);
  }
  try {
    const bytes = Buffer.from(command.buffer, command.byteOffset + 1, command.byteLength - 1);
    return JSON.parse(bytes.toString('utf8')) as LogRecord;
  } catch (cause) {
    throw new RecordDecodeError('a log record is not valid JSON', { cause });
  }
}
