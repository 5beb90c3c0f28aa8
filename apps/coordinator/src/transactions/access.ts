/**
 * The transactions that a caller may see: those that it began, and those that its participants have joined. To this
 * caller any other is as if it did not exist. Where an access is undefined, the caller may see all.
 */
export interface Access {
  /** the principal; undefined: one who begins no transactions */
  readonly owner?: string;
  /** names of participants for which the caller speaks */
  readonly participants: readonly string[];
}

interface Owned {
  readonly owner?: string;
  readonly branches: readonly { readonly participant: string }[];
}

export function isVisible({ owner, branches }: Owned, access: Access | undefined): boolean {
  if (access === undefined) return true;
  if (owner !== undefined && owner === access.owner) return true;
  const { participants } = access;
  return participants.length > 0 && branches.some(({ participant }) => participants.includes(participant));
}
