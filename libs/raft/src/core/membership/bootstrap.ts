import { invariant } from '@concordat/foundation';
import { configurationFault, encodeConfiguration } from './configuration-codec.js';
import type { Configuration, Entry } from '../types.js';

/** The term of the entry that a group's first configuration stands in; the first election is for the next one. */
export const BOOTSTRAP_TERM = 1;

/**
 * The first entry of every log of a group. It names the group's id, which is made for it and for nothing else, so no log
 * of that group can ever have another one there: it is committed from the moment it is written.
 */
export function bootstrapEntry(configuration: Configuration): Entry {
  const fault = configurationFault(configuration);
  invariant(fault === undefined && configuration.voters.length > 0, `a group is founded soundly: ${fault}`);
  return { index: 1, term: BOOTSTRAP_TERM, kind: 'configuration', data: encodeConfiguration(configuration) };
}
