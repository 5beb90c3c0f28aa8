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

/** A rule was broken. Ends the run. */
export class Violation extends Error {
  override readonly name = 'Violation';

  constructor(
    readonly rule: Rule,
    readonly what: string,
  ) {
    super(`${rule}: ${what}`);
  }
}
