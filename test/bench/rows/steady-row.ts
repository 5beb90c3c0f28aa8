/** What may disturb a row of a table. */
export type Doubt = 'foreign-cpu' | 'leader-change';

/** A row with more of the machine used by others says little about the system. */
export const FOREIGN_LIMIT = 0.08;
/** How often a doubtful row is measured again. */
export const MAXIMUM_REPEATS = 2;

/** The mark of each doubt in tables. */
export const MARKS: Readonly<Record<Doubt, string>> = { 'foreign-cpu': '!', 'leader-change': '~' };

/** Below every table that has a mark. */
export const MARKS_LEGEND =
  `${MARKS['foreign-cpu']} others used more than ${FOREIGN_LIMIT * 100} % of the machine   ` +
  `${MARKS['leader-change']} the leadership changed   (each still so after ${MAXIMUM_REPEATS} repeats)`;

/** What was true while a row was measured. */
export interface Conditions {
  /** of the machine, from 0 to 1; undefined where the system does not tell */
  readonly foreignShare: number | undefined;
  readonly leaderChanged: boolean;
}

export interface Row<Value> extends Conditions {
  readonly value: Value;
  /** empty: the row counts */
  readonly doubts: readonly Doubt[];
  /** how often it was measured */
  readonly attempts: number;
}

export function doubtsOf({ foreignShare = 0, leaderChanged }: Conditions): Doubt[] {
  const doubts: Doubt[] = [];
  if (foreignShare > FOREIGN_LIMIT) doubts.push('foreign-cpu');
  if (leaderChanged) doubts.push('leader-change');
  return doubts;
}

/**
 * Measures a row, and again while it is doubtful, a limited number of times. The first without doubt counts; if there
 * is none, the one that was disturbed least, and it keeps its marks.
 *
 * @param repeated told of each doubtful one that is measured again
 */
export async function measureSteadily<Value>(
  measure: () => Promise<Conditions & { readonly value: Value }>,
  repeated: (doubts: readonly Doubt[]) => void = () => undefined,
  maximumRepeats = MAXIMUM_REPEATS,
): Promise<Row<Value>> {
  let best: Row<Value> | undefined;
  for (let attempts = 1; ; attempts++) {
    const measured = await measure();
    const row = { ...measured, doubts: doubtsOf(measured), attempts };
    best = best && isLessDisturbed(best, row) ? { ...best, attempts } : row;
    if (row.doubts.length === 0 || attempts > maximumRepeats) return best;
    repeated(row.doubts);
  }
}

function isLessDisturbed(one: Row<unknown>, other: Row<unknown>): boolean {
  if (one.doubts.length !== other.doubts.length) return one.doubts.length < other.doubts.length;
  if (one.leaderChanged !== other.leaderChanged) return other.leaderChanged;
  return (one.foreignShare ?? 0) <= (other.foreignShare ?? 0);
}

/** Such as "3.1 %!". The share is the largest of the rows, the marks are those of any. */
export function foreignText(rows: readonly Pick<Row<unknown>, 'foreignShare' | 'doubts'>[]): string {
  const shares = rows.flatMap(({ foreignShare }) => (foreignShare === undefined ? [] : [foreignShare]));
  const share = shares.length === 0 ? '?' : `${(Math.max(...shares) * 100).toFixed(1)} %`;
  const doubts = new Set(rows.flatMap(({ doubts: all }) => all));
  return share + [...doubts].map((doubt) => MARKS[doubt]).join('');
}
