/** The steps of a service within one checkout, each at a crash point of its branch. */
export const STEPS: readonly { readonly point: string; readonly moment: string }[] = [
  { point: 'participant.begin.after-statement', moment: 'its session is open, its work not done' },
  { point: 'participant.prepare.received', moment: 'its work is done and not prepared' },
  { point: 'participant.prepare.after-prepare', moment: 'its branch is prepared, its vote not sent' },
  { point: 'participant.vote.after-send', moment: 'its vote is sent, the decision not received' },
  { point: 'participant.commit.before-commit', moment: 'it knows the decision and has not carried it out' },
  { point: 'participant.commit.after-commit', moment: 'it has committed and told nobody' },
];
