import type { SourceEdit } from '@concordat/foundation/testing';
import type { Family } from '../profile.js';

/** A mistake that people make in Raft, as a change of this library's source. */
export interface InjectedBug {
  readonly name: string;
  /** what the changed code does, in a sentence */
  readonly what: string;
  /** the rule that it breaks: section of the paper, of the thesis, or a design of this library */
  readonly rule: string;
  /** who made it, or where it is described as one that is made */
  readonly whoMadeIt: string;
  readonly edits: readonly SourceEdit[];
  /** only seeds of this kind are run; by default all storms */
  readonly family?: Family;
}
