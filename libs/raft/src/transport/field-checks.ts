import { decodeConfiguration } from '../core/membership/configuration-codec.js';
import type { Configuration } from '../core/types.js';
import { MalformedFrameError } from './frame-limits.js';

/** Larger encoded configurations are refused unread: the largest valid one is smaller. */
const MAXIMUM_CONFIGURATION_BYTES = 2 * 1024 * 1024;

/** The common fields of every message. */
export interface Envelope {
  readonly from: number;
  readonly to: number;
  readonly fromIncarnation: number;
  readonly toIncarnation: number;
  readonly groupId: number;
  readonly term: number;
}

/** @throws MalformedFrameError unless the bytes are a valid configuration */
export function readConfiguration(data: Uint8Array): Configuration {
  const configuration = data.length <= MAXIMUM_CONFIGURATION_BYTES ? decodeConfiguration(data) : undefined;
  if (configuration === undefined) throw new MalformedFrameError('a configuration is not sound');
  return configuration;
}

/** Before the first entry is index 0 with term 0; no entry has either. */
export function checkPosition(index: number, term: number): void {
  if ((index === 0) !== (term === 0)) throw new MalformedFrameError(`index ${index} cannot be of term ${term}`);
}

/** No log has an entry of a later term than its node's. */
export function checkTerm(term: number, envelope: Envelope): void {
  if (term > envelope.term)
    throw new MalformedFrameError(`an entry is of term ${term}, after the sender's term ${envelope.term}`);
}

/** The value, which must not be 0. */
export function positive(value: number): number {
  if (value === 0) throw new MalformedFrameError('an id, index or term is 0 where none may be');
  return value;
}
