import { invariant } from '@concordat/foundation';
import { configurationFault, encodeConfiguration } from './configuration-codec.js';
import type { Configuration, Entry } from '../types.js';

/** The term of a group's first entry; the first election is for the next one. */
export const BOOTSTRAP_TERM = 1;

/**
 * The first entry of every log of a group. It has the group's id, which is new, so no log of the group can have another
 * first entry: it is committed when it is written.
 */
export function bootstrapEntry(configuration: Configuration): Entry {
  const fault = configurationFault(configuration);
  invariant(fault === undefined && configuration.voters.length > 0, `a group is founded soundly: ${fault}`);
  return { index: 1, term: BOOTSTRAP_TERM, kind: 'configuration', data: encodeConfiguration(configuration) };
}
