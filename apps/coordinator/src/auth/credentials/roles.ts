/**
 * What a principal may do at the REST interface; `CALL_RULES` says which call needs which.
 *
 * - `client`: begins transactions, adds work to its own, commits and aborts them, reads them; takes locks
 * - `observer`: reads everything
 * - `operator`: reads everything, rules on transactions, changes the group
 * - `metrics`: reads `/metrics`
 * - `participant`: in the text with a name (`participant:bank-a`): enlists branches of that participant, and reads the
 *   transactions that it has joined
 * - `node`: another coordinator
 */
export const ROLES = ['client', 'observer', 'operator', 'metrics', 'participant', 'node'] as const;
export type Role = (typeof ROLES)[number];

/** As in texts that users write. */
export const ROLE_TEXTS = 'client, observer, operator, metrics, node and participant:<name>';

export interface Grants {
  readonly roles: ReadonlySet<Role>;
  /** the names of `participant:<name>` */
  readonly participants: readonly string[];
}

const PARTICIPANT = /^participant:([a-z0-9][a-z0-9-]{0,62})$/;

/** What these texts grant, and those of them that are no role. */
export function parseGrants(texts: Iterable<string>): { readonly grants: Grants; readonly unknown: readonly string[] } {
  const roles = new Set<Role>();
  const participants: string[] = [];
  const unknown: string[] = [];
  for (const text of texts) {
    const participant = PARTICIPANT.exec(text)?.[1];
    const role = ROLES.find((name) => name === text && name !== 'participant');
    if (role !== undefined) roles.add(role);
    else if (participant === undefined) unknown.push(text);
    else {
      roles.add('participant');
      if (!participants.includes(participant)) participants.push(participant);
    }
  }
  return { grants: { roles, participants }, unknown };
}

/** The other way, for people. */
export function formatGrants({ roles, participants }: Grants): string[] {
  const plain = [...roles].filter((role) => role !== 'participant');
  return [...plain, ...participants.map((name) => `participant:${name}`)];
}
