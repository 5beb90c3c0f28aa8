/**
 * What a message is sent to, as every part of the system says it. The name on the broker is the bus's matter: it
 * differs from cluster to cluster (`Namespace`).
 */
export type Topic = 'replies' | 'outcomes' | 'dead-letter' | `prepare.${string}` | `decide.${string}`;

export const REPLIES_TOPIC = 'replies' satisfies Topic;
export const OUTCOMES_TOPIC = 'outcomes' satisfies Topic;
export const DEAD_LETTER_TOPIC = 'dead-letter' satisfies Topic;

const PARTICIPANT = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Whether a string can name a participant: lower-case letters, digits and hyphens, at most 63. */
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
