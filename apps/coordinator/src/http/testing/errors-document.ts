import { ABORT_REASON_ADVICE, PROBLEMS, type ProblemDefinition } from './problems.js';

/** `docs/errors.md`: every code a client can see, generated from `PROBLEMS`. */
export function renderErrorsDocument(): string {
  const problems = Object.entries(PROBLEMS) as [string, ProblemDefinition][];
  const codes = problems.map(([code, { status, title, advice, retryAfterSeconds }]) => {
    const repeat = retryAfterSeconds === undefined ? '' : ` (\`Retry-After: ${retryAfterSeconds}\`)`;
    return [`\`${code}\``, `${status}${repeat}`, title, advice];
  });
  const reasons = Object.entries(ABORT_REASON_ADVICE).map(([reason, meaning]) => [`\`${reason}\``, meaning]);
  return `# Errors of the REST interface

<!-- Generated from apps/coordinator/src/http/problems.ts by errors-document.spec.ts; do not edit. -->

Every error is an RFC 9457 problem (\`application/problem+json\`): \`type\`, \`title\`, \`status\`, \`code\`, \`detail\` (a
sentence for people), \`instance\` (the path), and where fields or parameters are wrong \`errors: [{path, message}]\`.
Compare \`code\`; it never changes its meaning.

${table(['code', 'status', 'meaning', 'what to do'], codes)}

## Reasons of an aborted transaction

\`TRANSACTION_ABORTED\` carries \`transactionId\`, \`reason\` and, where a branch was the cause, \`branchId\`,
\`participant\` and \`participantCode\`.

${table(['reason', 'meaning'], reasons)}
`;
}

/** A Markdown table with aligned columns, as prettier formats it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
