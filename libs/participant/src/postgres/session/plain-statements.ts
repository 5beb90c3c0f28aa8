import { rememberByText } from './remember-by-text.js';

/** Quoted names, literals and comments, in the order of the text: what looks like one inside another is none. */
const QUOTED = /"(?:[^"]|"")*"|'(?:[^']|'')*'|--[^\n\r]*/g;
/** What makes it uncertain where a literal or a comment ends. */
const UNCERTAIN = /\\|\$\w*\$|\/\*/;
const PRINTABLE_ASCII = /^[ -~\s]*$/;
const SAVEPOINT = /^(?:(?:RELEASE |ROLLBACK TO )?SAVEPOINT) \w+$/;
const COMMAND = /^(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES)\b/;
/** The target of an insert; its columns look like the arguments of a function. */
const TARGET = /\b(?:INSERT|MERGE)\s+INTO\s+[\w".]+/g;
const CALL = /([\w".$]+)\s*\(/g;

/** Words before a parenthesis that are no function, or one of the server's that only computes. */
const HARMLESS = new Set(
  (
    'ALL AND ANY AS ARRAY BETWEEN BY CASE CONFLICT DISTINCT ELSE EXCEPT EXISTS FILTER FROM IN INTERSECT INTO IS JOIN ' +
    'LATERAL LIKE LIMIT MATERIALIZED NOT OFFSET ON OR OVER RETURNING ROW SELECT SET SOME THEN UNION USING VALUES ' +
    'WHEN WHERE WITH CHAR DECIMAL NUMERIC TIMESTAMP TIMESTAMPTZ VARCHAR ' +
    'ABS AVG CAST CEIL CHAR_LENGTH COALESCE CONCAT COUNT DATE_TRUNC EXTRACT FLOOR GREATEST JSON_BUILD_OBJECT ' +
    'JSONB_BUILD_OBJECT LEAST LENGTH LOWER MAX MD5 MIN MOD NOW NULLIF ROUND ROW_NUMBER SUBSTRING SUM TO_CHAR ' +
    'TO_TIMESTAMP TRIM UPPER'
  ).split(' '),
);

/**
 * Whether a text of a handler consists of queries, changes and savepoints, without calls of functions, except well-known ones that
 * only compute. Such a statement leaves nothing in its session that would have to be looked for; a trigger could. False
 * in case of doubt.
 */
export const isPlain = rememberByText((text) => {
  if (UNCERTAIN.test(text)) return false;
  const statements = text.replace(QUOTED, (quoted) => (quoted.startsWith('"') ? '""' : ' ')).split(';');
  return statements.map((statement) => statement.trim().toUpperCase()).every(isPlainStatement);
});

function isPlainStatement(statement: string): boolean {
  if (statement === '') return true;
  if (!PRINTABLE_ASCII.test(statement)) return false;
  if (SAVEPOINT.test(statement)) return true;
  const tested = statement.replace(TARGET, 'VALUES');
  if (!COMMAND.test(tested) || /\bINTO\b/.test(tested)) return false;
  return [...tested.matchAll(CALL)].every(([, word]) => HARMLESS.has(word!));
}
