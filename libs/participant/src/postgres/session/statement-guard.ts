import { rememberByText } from './remember-by-text.js';

/** String literals, quoted names, dollar-quoted texts and comments: none of them is a command. */
const QUOTED = /'(?:[^'\\]|''|\\.)*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$|--[^\n]*|\/\*[\s\S]*?\*\//g;

const RULES: readonly (readonly [RegExp, string])[] = [
  [/^(BEGIN|START|COMMIT|END|ABORT)\b/, 'the transaction of a branch is begun and ended by the participant library'],
  [/^ROLLBACK\b(?!(\s+(WORK|TRANSACTION))?\s+TO\b)/, 'throw an error to refuse the branch instead of rolling back'],
  [/^(PREPARE|DEALLOCATE)\b/, 'prepared statements and prepared transactions belong to the participant library'],
  [
    /^SET\b(?!\s+(LOCAL|CONSTRAINTS|TRANSACTION)\b)/,
    'a session setting outlives the branch on its connection; use SET LOCAL',
  ],
  [/^(RESET|DISCARD)\b/, 'the session is shared with other branches'],
  [/^(LISTEN|UNLISTEN|NOTIFY)\b/, 'PostgreSQL cannot prepare a transaction that uses LISTEN or NOTIFY'],
  [
    /^CREATE\s+(LOCAL\s+|GLOBAL\s+)?(TEMP|TEMPORARY)\b/,
    'PostgreSQL cannot prepare a transaction with temporary tables',
  ],
  [/^DECLARE\b[\s\S]*\bWITH\s+HOLD\b/, 'PostgreSQL cannot prepare a transaction with a cursor WITH HOLD'],
  [
    /^(VACUUM|CREATE\s+DATABASE|DROP\s+DATABASE|ALTER\s+SYSTEM|(CREATE|DROP)\s+(TABLESPACE|SUBSCRIPTION)|(CREATE\s+(UNIQUE\s+)?|DROP\s+)INDEX\s+CONCURRENTLY|REINDEX\b[\s\S]*\bCONCURRENTLY)\b/,
    'PostgreSQL runs it outside of transactions only; run it in a migration, before the service takes calls',
  ],
  [/\bPG_EXPORT_SNAPSHOT\b/, 'PostgreSQL cannot prepare a transaction that has exported its snapshot'],
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
