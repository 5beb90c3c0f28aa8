/**
 * Where a message is sent, by its logical name. The bus derives the broker's name, which differs between clusters
 * (`Namespace`).
 */
export type Topic = 'replies' | 'outcomes' | 'dead-letter' | `prepare.${string}` | `decide.${string}`;

export const REPLIES_TOPIC = 'replies' satisfies Topic;
export const OUTCOMES_TOPIC = 'outcomes' satisfies Topic;
export const DEAD_LETTER_TOPIC = 'dead-letter' satisfies Topic;

const PARTICIPANT = /^[a-z0-9][a-z0-9-]{0,62}$/;

export function isParticipantName(value: string): boolean {
  return PARTICIPANT.test(value);
}

/** Work for a participant: `prepare`, `commit-one-phase`. */
export function prepareTopic(participant: string): Topic {
  return `prepare.${participant}`;
}

/** For a participant: decisions, rulings, and answers to its inquiries. */
export function decideTopic(participant: string): Topic {
  return `decide.${participant}`;
}
