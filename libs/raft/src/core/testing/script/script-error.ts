/** A golden script that cannot be run: an unknown command, a malformed one, or one that has no sense where it stands. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';

  /** The same, with the place it happened at. */
  at(file: string, line: number): ScriptError {
    return new ScriptError(`${file}:${line}: ${this.message}`);
  }
}
