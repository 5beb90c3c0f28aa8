/**
 * What happens in a run, as a running hash (two runs of a seed must agree on it) and, when a seed is replayed, as
 * lines of text.
 */
export class Trace {
  private value = 0x811c9dc5;
  private count = 0;

  /** @param print where the lines go; without it they are only hashed */
  constructor(
    private readonly now: () => number,
    private readonly print?: (line: string) => void,
  ) {}

  event(describe: () => string): void {
    const text = describe();
    this.count++;
    this.mix(`${this.now()} ${text}`);
    this.print?.(`${this.now().toFixed(0).padStart(7)}  ${text}`);
  }

  /** Milliseconds since the start of the run. */
  get time(): number {
    return this.now();
  }

  get events(): number {
    return this.count;
  }

  /** Eight hexadecimal digits that stand for everything so far. */
  get fingerprint(): string {
    return (this.value >>> 0).toString(16).padStart(8, '0');
  }

  /** FNV-1a, 32 bits. */
  private mix(text: string): void {
    for (let index = 0; index < text.length; index++) {
      this.value = Math.imul(this.value ^ text.charCodeAt(index), 0x01000193);
    }
  }
}
