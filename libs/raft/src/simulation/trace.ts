/**
 * What happens in a run: a running hash, on which two runs of one seed must agree, and, when a seed is replayed,
 * lines of text.
 */
export class Trace {
  private value = 0x811c9dc5;

  /** @param print where the lines go; without it they are not even made */
  constructor(
    private readonly now: () => number,
    private readonly print?: (line: string) => void,
  ) {}

  /** Something that the hash covers. */
  event(text: string): void {
    for (let index = 0; index < text.length; index++) this.mix(text.charCodeAt(index));
    this.mix(this.now());
    this.line(() => text);
  }

  /** For what happens too often to be put into words in every run. */
  mix(value: number): void {
    this.value = Math.imul(this.value ^ (value | 0), 0x01000193);
  }

  /** A line for a reader only. */
  line(describe: () => string): void {
    this.print?.(`${this.now().toFixed(1).padStart(10)}  ${describe()}`);
  }

  /** Eight hexadecimal digits that stand for everything so far. */
  get fingerprint(): string {
    return (this.value >>> 0).toString(16).padStart(8, '0');
  }
}
