import { accessOf, type AccessRule } from '@concordat/messaging';
import type { AclOptions } from './acl-options.js';

/** The commands that give a role its rights at the broker. */
export function aclCommands({ participant, principal, ...namespace }: AclOptions): string {
  const lines = accessOf(namespace, participant).map((rule) => commandOf(rule, principal));
  const who = participant === undefined ? 'coordinators' : `the participant ${participant}`;
  return `# the rights of ${who} of the cluster ${namespace.cluster}, for ${principal}\n${lines.join('\n')}\n`;
}

function commandOf({ resource, name, pattern, operations, purpose }: AccessRule, principal: string): string {
  const words = [
    'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --add',
    `--allow-principal ${quoted(principal)}`,
    ...operations.map((operation) => `--operation ${operation}`),
    ...(pattern === 'prefixed' ? ['--resource-pattern-type prefixed'] : []),
    `--${resource} ${quoted(name)}`,
  ];
  return `${words.join(' ')} # ${purpose}`;
}

/** As one word of a shell. */
function quoted(text: string): string {
  return /^[A-Za-z0-9_.:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
