import { InvariantError } from '@concordat/foundation';
import { runCommand } from './commands.js';
import { ScriptError } from './script-error.js';
import { ScriptedGroup } from './scripted-group.js';

const SEPARATOR = '----';

interface CommandLine {
  readonly line: number;
  readonly text: string;
}

/** Comments and empty lines are kept as they stand; the output recorded behind commands is not needed to run them. */
type Section =
  | { readonly type: 'text'; readonly line: string }
  | { readonly type: 'block'; readonly commands: readonly CommandLine[] };

/**
 * A golden script: comments (`#`), and blocks of commands, each followed by `----` and what came out, up to an empty
 * line. The commands are those of commands.ts; each works on one group of nodes that begins empty.
 */
export class Script {
  private constructor(
    private readonly file: string,
    private readonly sections: readonly Section[],
  ) {}

  /** @throws ScriptError with file and line when the text is not a script */
  static parse(file: string, text: string): Script {
    const lines = text.split('\n');
    const sections: Section[] = [];
    for (let at = 0; at < lines.length;) {
      const line = lines[at]!;
      if (line === SEPARATOR) throw new ScriptError('an output has no commands').at(file, at + 1);
      if (line === '' || line.startsWith('#')) {
        sections.push({ type: 'text', line });
        at++;
        continue;
      }
      const commands: CommandLine[] = [];
      for (; at < lines.length && lines[at] !== '' && lines[at] !== SEPARATOR; at++) {
        if (lines[at]!.startsWith('#')) throw new ScriptError('a comment stands before the commands').at(file, at + 1);
        commands.push({ line: at + 1, text: lines[at]! });
      }
      while (at < lines.length && lines[at] !== '') at++; // the recorded output
      sections.push({ type: 'block', commands });
    }
    return new Script(file, sections);
  }

  /**
   * Runs it.
   * @returns its whole text with the outputs that came out
   * @throws ScriptError with file and line for a command that is unknown, malformed or without sense
   */
  run(): string {
    const group = new ScriptedGroup();
    const lines = this.sections.flatMap((section) => {
      if (section.type === 'text') return [section.line];
      group.lines.length = 0;
      for (const { line, text } of section.commands) this.runLine(group, line, text);
      const output = group.lines.length === 0 ? ['ok'] : group.lines;
      return [...section.commands.map(({ text }) => text), SEPARATOR, ...output];
    });
    return lines.join('\n');
  }

  private runLine(group: ScriptedGroup, line: number, text: string): void {
    try {
      runCommand(group, text);
    } catch (error) {
      if (error instanceof ScriptError) throw error.at(this.file, line);
      if (error instanceof InvariantError) throw new InvariantError(`${this.file}:${line}: ${error.message}`);
      throw error;
    }
  }
}
