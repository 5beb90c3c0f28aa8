import { ScriptError } from './script-error.js';

const OPENING = '[("';
const CLOSING = '])"';

/** The words of a command: separated by spaces, those within quotes, brackets or parentheses kept together. */
export function wordsOf(line: string): string[] {
  const words: string[] = [];
  let word = '';
  let closing = '';
  for (const character of line) {
    if (closing !== '') {
      if (character === closing) closing = '';
    } else if (character === ' ') {
      if (word !== '') words.push(word);
      word = '';
      continue;
    } else if (OPENING.includes(character)) {
      closing = CLOSING[OPENING.indexOf(character)]!;
    }
    word += character;
  }
  if (closing !== '') throw new ScriptError(`${closing} is missing`);
  if (word !== '') words.push(word);
  return words;
}

export function parseInteger(word: string): number {
  if (!/^\d+$/.test(word)) throw new ScriptError(`${word} is no number`);
  return Number(word);
}

/** `1,2,3`; nothing between the commas is an empty list. */
export function parseIntegers(word: string): number[] {
  return word === '' ? [] : word.split(',').map(parseInteger);
}

/** `index@term` */
export function parsePosition(word: string): { readonly index: number; readonly term: number } {
  const [index, term, ...rest] = word.split('@');
  if (index === undefined || term === undefined || rest.length > 0)
    throw new ScriptError(`${word} is no position; write index@term`);
  return { index: parseInteger(index), term: parseInteger(term) };
}

/** The `name=value` words and the bare ones behind a command. Each is taken once; one left over is an error. */
export class Fields {
  private readonly values = new Map<string, string>();
  private readonly flags = new Set<string>();

  constructor(words: readonly string[]) {
    for (const word of words) {
      const equals = word.indexOf('=');
      const name = equals < 0 ? word : word.slice(0, equals);
      if (this.values.has(name) || this.flags.has(name)) throw new ScriptError(`${name} is given twice`);
      if (equals < 0) this.flags.add(name);
      else this.values.set(name, word.slice(equals + 1));
    }
  }

  optional(name: string): string | undefined {
    const value = this.values.get(name);
    this.values.delete(name);
    return value;
  }

  required(name: string): string {
    const value = this.optional(name);
    if (value === undefined) throw new ScriptError(`${name}= is missing`);
    return value;
  }

  integer(name: string, otherwise?: number): number {
    const word = otherwise === undefined ? this.required(name) : this.optional(name);
    return word === undefined ? otherwise! : parseInteger(word);
  }

  integers(name: string): number[] {
    return parseIntegers(this.optional(name) ?? '');
  }

  position(name: string): { readonly index: number; readonly term: number } {
    return parsePosition(this.required(name));
  }

  has(name: string): boolean {
    return this.values.has(name);
  }

  flag(name: string): boolean {
    return this.flags.delete(name);
  }

  /** The names of all values not taken yet. */
  names(): string[] {
    return [...this.values.keys()];
  }

  end(): void {
    const [left] = [...this.values.keys(), ...this.flags];
    if (left !== undefined) throw new ScriptError(`${left} has no meaning here`);
  }
}
