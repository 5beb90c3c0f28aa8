/** Names of the Kafka topics; see the contract. */
export const REPLIES_TOPIC = 'concordat.replies';
export const OUTCOMES_TOPIC = 'concordat.outcomes';
export const DEAD_LETTER_TOPIC = 'concordat.dead-letter';

const PARTICIPANT = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Whether a string can name a participant: lower-case letters, digits and hyphens, at most 63. */
export function isParticipantName(value: string): boolean {
  return PARTICIPANT.test(value);
}

/** Work for a participant: `prepare`, `commit-one-phase`. */
export function prepareTopic(participant: string): string {
  return `concordat.prepare.${participant}`;
}

/** Rulings for a participant: decisions and answers to its inquiries. */
export function decideTopic(participant: string): string {
  return `concordat.decide.${participant}`;
}
