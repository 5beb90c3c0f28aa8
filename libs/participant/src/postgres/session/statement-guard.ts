import { rememberByText } from './remember-by-text.js';

/** String literals, quoted names, dollar-quoted texts and comments: none of them is a command. */
const QUOTED = /'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$|--[^\n]*|\/\*[\s\S]*?\*\//g;

const NO_NOTIFICATIONS =
  'PostgreSQL cannot prepare a transaction that uses LISTEN or NOTIFY; notify when it has committed (onGlobalCommit), and ' +
  'listen on a connection of your own';
const NO_TEMPORARY_TABLES =
  'PostgreSQL cannot prepare a transaction with temporary tables; use an ordinary table, or a WITH clause';

const RULES: readonly (readonly [RegExp, string])[] = [
  [
    /^(BEGIN|START|COMMIT|END|ABORT)\b/,
    'the transaction of a branch is begun and ended by the participant library; leave it out',
  ],
  [/^ROLLBACK\b(?!(\s+(WORK|TRANSACTION))?\s+TO\b)/, 'throw an error to refuse the branch instead of rolling back'],
  [
    /^(PREPARE|DEALLOCATE)\b/,
    'prepared statements and prepared transactions belong to the participant library; send the statement itself',
  ],
  [
    /^SET\b(?!\s+(LOCAL|CONSTRAINTS|TRANSACTION)\b)/,
    'a session setting outlives the branch on its connection; use SET LOCAL',
  ],
  [/^(RESET|DISCARD)\b/, 'the session is shared with other branches; leave it out: SET LOCAL ends with the branch'],
  [/^(LISTEN|UNLISTEN|NOTIFY)\b|\bPG_NOTIFY\b/, NO_NOTIFICATIONS],
  [/^CREATE\s+(OR\s+REPLACE\s+)?(LOCAL\s+|GLOBAL\s+)?(TEMP|TEMPORARY)\b/, NO_TEMPORARY_TABLES],
  [
    /^DECLARE\b[\s\S]*\bWITH\s+HOLD\b/,
    'PostgreSQL cannot prepare a transaction with a cursor WITH HOLD; leave out WITH HOLD, or read the rows in pages',
  ],
  [
    /^(VACUUM|CREATE\s+DATABASE|DROP\s+DATABASE|ALTER\s+SYSTEM|(CREATE|DROP)\s+(TABLESPACE|SUBSCRIPTION)|(CREATE\s+(UNIQUE\s+)?|DROP\s+)INDEX\s+CONCURRENTLY|REINDEX\b[\s\S]*\bCONCURRENTLY)\b/,
    'PostgreSQL runs it outside of transactions only; run it in a migration, before the service takes calls',
  ],
  [/\bPG_EXPORT_SNAPSHOT\b/, 'PostgreSQL cannot prepare a transaction that has exported its snapshot; leave it out'],
  [/\bPG_(TRY_)?ADVISORY_LOCK(_SHARED)?\b/, 'a session-level lock outlives the branch; use pg_advisory_xact_lock'],
];

/** Why a handler must not send this text, as a sentence; undefined when it may. */
export const refusalOf = rememberByText(judge);

function judge(text: string): string | undefined {
  const statements = text
    .replace(QUOTED, ' ')
    .split(';')
    .map((part) => part.trim().toUpperCase());
  for (const statement of statements) {
    const rule = RULES.find(([pattern]) => pattern.test(statement));
    if (rule) return `"${statement.slice(0, 60)}" is not allowed in a branch: ${rule[1]}`;
  }
  return undefined;
}
