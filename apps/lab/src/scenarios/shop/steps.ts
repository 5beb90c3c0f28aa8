import type { Link } from '../../local-system/ports.js';

interface Step {
  readonly point: string;
  readonly moment: string;
  /** only where the coordinators ask for votes: over Kafka alone the joining call prepares, and enlists with the vote */
  readonly isAsked?: boolean;
}

/** The steps of a service within one checkout, each at a crash point of its branch. */
const STEPS: readonly Step[] = [
  { point: 'participant.begin.after-statement', moment: 'its session is open, its work not done' },
  { point: 'participant.prepare-transaction.before-statement', moment: 'its work is done and not prepared' },
  { point: 'participant.prepare-transaction.after-statement', moment: 'its branch is prepared, its vote not sent' },
  { point: 'participant.vote.after-send', moment: 'its vote is sent, the decision not received', isAsked: true },
  { point: 'participant.commit.before-commit', moment: 'it knows the decision and has not carried it out' },
  { point: 'participant.commit.after-commit', moment: 'it has committed and told nobody' },
];

export function stepsOn(link: Link): readonly Step[] {
  return STEPS.filter(({ isAsked = false }) => link !== 'kafka' || !isAsked);
}
