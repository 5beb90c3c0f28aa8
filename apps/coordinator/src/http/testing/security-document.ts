import { markdownTable } from '@concordat/foundation/testing';
import { CALL_RULES } from '../../auth/call-rules.js';

const START = '<!-- made from apps/coordinator/src/auth/call-rules.ts by security-document.spec.ts; do not edit -->\n';
const END = '\n<!-- end of what is made -->';

/** `docs/security.md` with the table of who may call what. */
export function withAccessTable(document: string): string {
  const [before, rest, ...more] = document.split(START);
  const after = rest?.slice(rest.indexOf(END));
  if (before === undefined || after === undefined || more.length > 0)
    throw new TypeError('the marks are not there once');
  const rows = Object.entries(CALL_RULES).map(([call, { roles, but = '' }]) => {
    const named =
      roles === 'everyone' ? 'everybody, also without a credential' : roles.map((role) => `\`${role}\``).join(', ');
    return [`\`${call}\``, named, but];
  });
  return `${before}${START}\n${markdownTable(['call', 'roles', 'of these only'], rows)}\n${after}`;
}
