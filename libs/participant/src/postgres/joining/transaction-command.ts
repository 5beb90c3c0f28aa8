import { rememberByText } from '../session/remember-by-text.js';

export type IsolationLevel = 'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';

/** What a library asks of its transaction. */
export interface TransactionWishes {
  readonly isolation?: IsolationLevel;
  readonly isReadOnly?: boolean;
}

/** A statement with which a library begins, divides or ends a transaction. */
export type TransactionCommand =
  | { readonly type: 'begin'; readonly tag: 'BEGIN' | 'START TRANSACTION'; readonly wishes: TransactionWishes }
  | { readonly type: 'set-transaction'; readonly wishes: TransactionWishes }
  | { readonly type: 'commit' }
  | { readonly type: 'roll-back' }
  | { readonly type: 'savepoint' | 'release' | 'roll-back-to'; readonly name: string };

const TOKEN = /--[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"]|"")*"|[^\s";,]+|[;,]/g;
const COMMENT = /^(?:--|\/\*)/;
/** Most texts are none; this says so quickly. */
const MAY_BE_COMMAND = /^[\s;]*(?:--|\/\*|begin|start|set|commit|end|abort|rollback|savepoint|release)/i;
const ISOLATION_LEVELS: readonly IsolationLevel[] = [
  'READ UNCOMMITTED',
  'READ COMMITTED',
  'REPEATABLE READ',
  'SERIALIZABLE',
];

/**
 * The transaction commands that a text consists of. Undefined for any other text, also for one that mixes commands with
 * statements, and for commands that have no meaning inside a branch; the statement guard judges those.
 */
export const transactionCommandsOf = rememberByText(read);

function read(text: string): readonly TransactionCommand[] | undefined {
  if (!MAY_BE_COMMAND.test(text)) return undefined;
  const tokens = (text.match(TOKEN) ?? []).filter((token) => !COMMENT.test(token));
  const commands: TransactionCommand[] = [];
  while (tokens.length > 0) {
    const end = tokens.indexOf(';');
    const statement = tokens.splice(0, end === -1 ? tokens.length : end + 1).filter((token) => token !== ';');
    if (statement.length === 0) continue;
    const command = commandOf(new Words(statement));
    if (!command) return undefined;
    commands.push(command);
  }
  return commands.length === 0 ? undefined : commands;
}

/** The words of one statement, consumed from the left. */
class Words {
  private index = 0;

  constructor(private readonly words: readonly string[]) {}

  get isAtEnd(): boolean {
    return this.index === this.words.length;
  }

  /** Consumes the words if they are next. */
  take(...expected: readonly string[]): boolean {
    const isNext = expected.every((word, offset) => this.words[this.index + offset]?.toUpperCase() === word);
    if (isNext) this.index += expected.length;
    return isNext;
  }

  /** Consumes a name and folds its case as the server does. */
  name(): string | undefined {
    const word = this.words[this.index++];
    if (word === undefined || word === ',') return undefined;
    return word.startsWith('"') ? word.slice(1, -1).replaceAll('""', '"') : word.toLowerCase();
  }
}

function commandOf(words: Words): TransactionCommand | undefined {
  if (words.take('START', 'TRANSACTION')) return beginOf(words, 'START TRANSACTION');
  if (words.take('BEGIN')) {
    skipNoise(words);
    return beginOf(words, 'BEGIN');
  }
  if (words.take('SET', 'TRANSACTION')) {
    const wishes = wishesOf(words);
    return wishes && { type: 'set-transaction', wishes };
  }
  if (words.take('COMMIT') || words.take('END')) return endOf(words, 'commit');
  if (words.take('ABORT')) return endOf(words, 'roll-back');
  if (words.take('SAVEPOINT')) return namedOf(words, 'savepoint');
  if (words.take('RELEASE')) {
    words.take('SAVEPOINT');
    return namedOf(words, 'release');
  }
  if (!words.take('ROLLBACK')) return undefined;
  skipNoise(words);
  if (!words.take('TO')) return endOf(words, 'roll-back');
  words.take('SAVEPOINT');
  return namedOf(words, 'roll-back-to');
}

function skipNoise(words: Words): void {
  if (!words.take('WORK')) words.take('TRANSACTION');
}

function beginOf(words: Words, tag: 'BEGIN' | 'START TRANSACTION'): TransactionCommand | undefined {
  const wishes = wishesOf(words);
  return wishes && { type: 'begin', tag, wishes };
}

function endOf(words: Words, type: 'commit' | 'roll-back'): TransactionCommand | undefined {
  skipNoise(words);
  words.take('AND', 'NO', 'CHAIN');
  return words.isAtEnd ? { type } : undefined;
}

function namedOf(words: Words, type: 'savepoint' | 'release' | 'roll-back-to'): TransactionCommand | undefined {
  const name = words.name();
  return name !== undefined && words.isAtEnd ? { type, name } : undefined;
}

/** Undefined when a mode is unknown. DEFERRABLE changes only when a serializable transaction starts: nothing here. */
function wishesOf(words: Words): TransactionWishes | undefined {
  let wishes: TransactionWishes = {};
  while (!words.isAtEnd) {
    if (words.take('ISOLATION', 'LEVEL')) {
      const isolation = ISOLATION_LEVELS.find((level) => words.take(...level.split(' ')));
      if (!isolation) return undefined;
      wishes = { ...wishes, isolation };
    } else if (words.take('READ', 'ONLY')) wishes = { ...wishes, isReadOnly: true };
    else if (words.take('READ', 'WRITE')) wishes = { ...wishes, isReadOnly: false };
    else if (!words.take('DEFERRABLE') && !words.take('NOT', 'DEFERRABLE')) return undefined;
    words.take(',');
  }
  return wishes;
}
