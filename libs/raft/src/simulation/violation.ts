import { Violation as BrokenRule } from '@concordat/foundation/testing';

/** The rules of a run; the names are used in reports and in docs/raft-injected-bugs.md. */
export type Rule =
  | 'election safety'
  | 'leader append-only'
  | 'log matching'
  | 'leader completeness'
  | 'committed entries stay'
  | 'state machine safety'
  | 'committed on a quorum'
  | 'configuration'
  | 'durable promises'
  | 'linearizability'
  | 'read index'
  | 'lease'
  | 'transfer'
  | 'answers'
  | 'refused message'
  | 'node failure'
  | 'liveness';

/** One of these rules was broken. */
export class Violation extends BrokenRule {
  constructor(
    readonly rule: Rule,
    what: string,
  ) {
    super(`${rule}: ${what}`);
  }
}
