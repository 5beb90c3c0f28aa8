import { failure, ok, type Finding } from './check.js';
import type { DatabaseFacts } from './database-facts.js';

/**
 * Whether these URLs, of several processes of one participant, lead to one database and as one role. Needs two; those of
 * other participants are left out.
 */
export function sharedDatabaseFinding(all: readonly DatabaseFacts[], participant?: string): Finding | undefined {
  const known = all.filter(({ ledger }) => ledger.owner !== undefined || participant !== undefined);
  for (const [index, one] of known.entries()) {
    for (const other of known.slice(index + 1)) {
      if (nameOf(one, participant) !== nameOf(other, participant)) continue;
      const found = compare(one, other, nameOf(one, participant));
      if (found) return found;
    }
  }
  const names = known.map((facts) => nameOf(facts, participant));
  return new Set(names).size < names.length
    ? ok('processes of one participant share one database and one role')
    : undefined;
}

function compare(one: DatabaseFacts, other: DatabaseFacts, name: string): Finding | undefined {
  if (isAnother(one, other)) {
    return failure(
      `${one.where} and ${other.where} are two databases for the participant ${name}`,
      'give all processes of a participant the same database: a decision reaches any of them',
    );
  }
  if (one.role === other.role) return undefined;
  return failure(
    `the participant ${name} uses the roles "${one.role}" and "${other.role}" in one database`,
    'give all processes of a participant the same role: only the role that prepared a branch may end it',
  );
}

function isAnother(one: DatabaseFacts, other: DatabaseFacts): boolean {
  if (one.identity !== undefined && other.identity !== undefined) return one.identity !== other.identity;
  return placeOf(one) !== placeOf(other);
}

/** Without the role. */
function placeOf({ where }: DatabaseFacts): string {
  return where.slice(where.indexOf('@') + 1);
}

function nameOf({ ledger: { owner } }: DatabaseFacts, participant: string | undefined): string {
  if (participant !== undefined) return `"${participant}"`;
  return owner ? `"${owner.participant}" of the cluster "${owner.cluster}"` : '';
}
