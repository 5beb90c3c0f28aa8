import type { SourceEdit } from '@concordat/foundation/testing';
import type { Family } from '../pace.js';
import type { Sabotage } from '../sabotage.js';

/** A mistake that people make with atomic commit, and how it is put into the system. */
export interface InjectedBug {
  readonly name: string;
  /** what the changed system does, in a sentence */
  readonly what: string;
  /** the rule of docs/protocols.md that it breaks, and others */
  readonly rule: string;
  /** changes of the source, a lie of one of the modelled ports, or a mistake in the exhaustive model */
  readonly by: { readonly edits: readonly SourceEdit[] } | { readonly sabotage: Sabotage } | { readonly model: string };
  /** the seeds that are run; by default storms with their faults */
  readonly seeds?: { readonly family?: Family; readonly calm?: boolean };
}
