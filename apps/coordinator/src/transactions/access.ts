/**
 * The transactions that a caller may see: those that it began, those that its participants have joined, and the one to
 * which it is invited. To this caller any other is as if it did not exist. Where an access is undefined, the caller may
 * see all.
 */
export interface Access {
  /** the principal; undefined: one who begins no transactions */
  readonly owner?: string;
  /** names of participants for which the caller speaks */
  readonly participants: readonly string[];
  /** SHA-256 of the invitation that it has shown */
  readonly invitation?: string;
}

interface Owned {
  readonly owner?: string;
  readonly invitation?: string;
  readonly branches: readonly { readonly participant: string }[];
}

export function isVisible({ owner, invitation, branches }: Owned, access: Access | undefined): boolean {
  if (access === undefined) return true;
  if (owner !== undefined && owner === access.owner) return true;
  if (invitation !== undefined && invitation === access.invitation) return true;
  const { participants } = access;
  return participants.length > 0 && branches.some(({ participant }) => participants.includes(participant));
}
