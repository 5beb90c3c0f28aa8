/** Who repairs what a crash at a failpoint has left behind. */
export type Repairer =
  /** takes over every open transaction of the log, asks again and sends again */
  | 'the new leader'
  /** consumes uncommitted messages again, and answers from its database */
  | 'the restarted participant'
  /** finds the prepared branches of the restarted participant and inquires */
  | 'its sweeper'
  /** in three phases: decide among themselves when no coordinator answers */
  | 'the branches'
  /** repeats the request with the same idempotency key */
  | 'the client'
  /** checks whether the ruling is there, and rules again */
  | 'the operator'
  | 'nothing to repair';

/** A crash at a failpoint: one row of the table in docs/protocols.md. */
export interface CrashPoint {
  /** what has happened and what has not */
  readonly moment: string;
  /** what happens after the crash */
  readonly consequence: string;
  readonly repairedBy: readonly [Repairer, ...Repairer[]];
}

export function crashPoint(moment: string, consequence: string, ...repairedBy: CrashPoint['repairedBy']): CrashPoint {
  return { moment, consequence, repairedBy };
}
