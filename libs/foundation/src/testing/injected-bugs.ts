/** How many are looked for side by side. */
const SEARCHES_AT_ONCE = 2;

/** Looks for mistakes that were put in, some at a time, and keeps what came of each. */
export class BugSearch<Bug extends { readonly name: string }, Found> {
  /** in the order in which they were found */
  readonly found: Found[] = [];
  private readonly searches = new Map<string, Promise<Found | undefined>>();
  private all: Promise<unknown> | undefined;

  /** @param find puts the mistake in and runs until a rule is broken; undefined when none is */
  constructor(
    private readonly bugs: readonly Bug[],
    private readonly find: (bug: Bug) => Promise<Found | undefined>,
  ) {}

  /** Looks for all of them, once. What went wrong is told by `resultOf`. */
  async run(): Promise<void> {
    const queue = [...this.bugs];
    const work = async (): Promise<void> => {
      for (let bug = queue.shift(); bug; bug = queue.shift()) {
        const search = this.find(bug);
        this.searches.set(bug.name, search);
        const result = await search.catch(() => undefined);
        if (result !== undefined) this.found.push(result);
      }
    };
    await (this.all ??= Promise.all(Array.from({ length: SEARCHES_AT_ONCE }, work)));
  }

  async resultOf(name: string): Promise<Found | undefined> {
    await this.run();
    return this.searches.get(name);
  }
}

/**
 * Those that a run looks for: all with `CONCORDAT_NIGHTLY=1`, and when their page is written (`CONCORDAT_UPDATE_DOCS=1`);
 * otherwise every tenth, which is what fits into the suite.
 */
export function bugsOfThisRun<Bug>(bugs: readonly Bug[]): readonly Bug[] {
  const { CONCORDAT_NIGHTLY, CONCORDAT_UPDATE_DOCS } = process.env;
  if (CONCORDAT_NIGHTLY === '1' || CONCORDAT_UPDATE_DOCS === '1') return bugs;
  return bugs.filter((_, place) => place % 10 === 0);
}

/** The names in the table of a page about mistakes: its first column. */
export function namesInPage(page: string): string[] {
  return rowsOf(page).map(([name]) => name!);
}

/**
 * The numbers that a page has in one column, by the names in its first: seeds at which mistakes were found when it was
 * written. A test looks there first, and at all seeds only if the rule is not broken there any more.
 *
 * @param column counted from 0
 */
export function numbersInPage(page: string, column: number): ReadonlyMap<string, number> {
  const numbers = rowsOf(page).map((row) => [row[0]!, Number(/\d+/.exec(row[column] ?? '')?.[0])] as const);
  return new Map(numbers.filter(([, number]) => Number.isInteger(number)));
}

function rowsOf(page: string): string[][] {
  const rows = page.split('\n').filter((line) => line.startsWith('| '));
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
