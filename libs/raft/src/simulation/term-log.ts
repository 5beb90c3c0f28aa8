import type { Entry } from '../core/types.js';

/** The terms of one node's entries, from an observer's view: entries replace those at their indexes and after. */
export class TermLog {
  private start = 0;
  private terms: number[] = [];

  /** Lower or equal indexes are compacted, or were never here. */
  get startIndex(): number {
    return this.start;
  }

  get lastIndex(): number {
    return this.start + this.terms.length;
  }

  /** Undefined outside of the log. */
  term(index: number): number | undefined {
    return this.terms[index - this.start - 1];
  }

  get lastTerm(): number {
    return this.terms.at(-1) ?? 0;
  }

  write(entries: readonly Entry[]): void {
    const first = entries[0];
    if (!first) return;
    if (first.index <= this.start) this.restart(first.index - 1);
    this.truncateFrom(first.index);
    if (first.index > this.lastIndex + 1) this.restart(first.index - 1);
    for (const entry of entries) this.terms.push(entry.term);
  }

  push(term: number): void {
    this.terms.push(term);
  }

  truncateFrom(index: number): void {
    if (index <= this.lastIndex) this.terms.length = Math.max(0, index - this.start - 1);
  }

  /** Drops everything; the log continues after `index`. */
  restart(index: number): void {
    this.start = index;
    this.terms = [];
  }

  /** Drops entries at or below `index`. */
  compactTo(index: number): void {
    if (index <= this.start) return;
    if (index >= this.lastIndex) return this.restart(index);
    this.terms = this.terms.slice(index - this.start);
    this.start = index;
  }
}
