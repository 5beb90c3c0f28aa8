/** Places at which a demo or test may stop a participant; see `CONCORDAT_FAILPOINTS`. */
export const PARTICIPANT_FAILPOINTS = [
  /** work has arrived, nothing was done */
  'participant.prepare.received',
  /** the handlers have run, the local transaction is open */
  'participant.prepare.before-prepare',
  /** prepared and durable, the vote has not left */
  'participant.prepare.after-prepare',
  /** the broker has acknowledged the vote */
  'participant.vote.after-send',
  'participant.commit.before-commit',
  /** committed and durable, nobody was told */
  'participant.commit.after-commit',
  'participant.abort.before-rollback',
] as const;

export type ParticipantFailpoint = (typeof PARTICIPANT_FAILPOINTS)[number];
