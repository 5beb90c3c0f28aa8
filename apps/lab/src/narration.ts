/** Lines for the terminal, each with the seconds since this narration began. */
export class Narration {
  private readonly startedAt = Date.now();

  constructor(private readonly write: (line: string) => void = (line) => console.log(line)) {}

  get elapsedMs(): number {
    return Date.now() - this.startedAt;
  }

  heading(text: string): void {
    this.write(`\n== ${text} ${'='.repeat(Math.max(0, 74 - text.length))}`);
  }

  say(text: string): void {
    this.write(`[${(this.elapsedMs / 1000).toFixed(1).padStart(6)} s] ${text}`);
  }

  plain(text: string): void {
    this.write(text);
  }

  /** What will be done. */
  action(text: string): void {
    this.say(`do      ${text}`);
  }

  /** What should happen. */
  expectation(text: string): void {
    this.say(`expect  ${text}`);
  }

  /** What has happened. */
  observation(text: string): void {
    this.say(`seen    ${text}`);
  }
}

/** Columns aligned, two spaces between them. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
