/** The trace of a run: a running hash, equal for two runs of one seed, and lines of text when a seed is replayed. */
export class Trace {
  private value = 0x811c9dc5;
  private count = 0;

  /**
   * @param now milliseconds since the start of the run
   * @param print receives the lines; without it they are not made
   */
  constructor(
    private readonly now: () => number,
    private readonly print?: (line: string) => void,
  ) {}

  /** An event that the hash covers. */
  event(text: string): void {
    this.count++;
    for (let index = 0; index < text.length; index++) this.mix(text.charCodeAt(index));
    this.mix(this.now());
    this.line(() => text);
  }

  /** For events too frequent to be formatted in every run. FNV-1a, 32 bits. */
  mix(value: number): void {
    this.value = Math.imul(this.value ^ (value | 0), 0x01000193);
  }

  /** A line for readers only. */
  line(describe: () => string): void {
    this.print?.(`${this.now().toFixed(1).padStart(10)}  ${describe()}`);
  }

  /** Milliseconds since the start of the run. */
  get time(): number {
    return this.now();
  }

  /** Number of events. */
  get events(): number {
    return this.count;
  }

  /** Eight hexadecimal digits for everything so far. */
  get fingerprint(): string {
    return (this.value >>> 0).toString(16).padStart(8, '0');
  }
}
