import { LabError } from '../lab-error.js';
import { describeAnswer } from '../rest.js';
import { heldBranch } from './held-branch.js';
import { expectAlertAnd, rule, ruleOn, show, waitForInDoubt } from './operator.js';
import type { Scenario } from './scenario.js';
import { changeAt } from './truth.js';
import { transactionOf } from './wire.js';

const HELD_BANK = 'bank-b';
const HOLD_MS = 8000;
/** Well within the delay, and longer than a loaded machine needs for the other commits. */
const HELD_AFTER_MS = 2500;
const REASON = 'rolled back by hand to show what happens';

export const heuristic: Scenario = {
  name: 'heuristic',
  title: 'somebody rolls back a prepared branch by hand although the transaction is committed; an operator ends it',
  run: async (lab) => {
    const { narration } = lab;
    narration.action(`hold one commit at ${HELD_BANK} for ${HOLD_MS} ms, so that its branch stays prepared`);
    await lab.arm(HELD_BANK, `participant.commit.before-commit=delay:${HOLD_MS}`);
    const { bank, gid } = await heldBranch(lab, { bank: HELD_BANK, heldAfterMs: HELD_AFTER_MS });
    const transactionId = transactionOf(gid);
    const { decision } = await show(lab, transactionId);
    if (decision !== 'commit') throw new LabError(`${gid} should wait for its commit; its decision is ${decision}.`);
    narration.observation(`${bank} holds ${gid}, and its transaction is decided: commit`);

    narration.action(`ROLLBACK PREPARED '${gid}' in the database of ${bank}, as somebody with psql could`);
    await lab.databases.rollBackByHand(bank, gid);
    narration.expectation('the participant finds out when its commit arrives, and says so; nothing is hidden');
    await waitForInDoubt(lab, transactionId, 'heuristic-rollback');
    const lost = lab.load.markLost(transactionId, bank);
    if (!lost) throw new LabError(`No transfer of the load is known as ${transactionId}.`);
    const { status, endedAt } = await show(lab, transactionId);
    narration.observation(
      `the transaction is ${status} and stays open (endedAt ${endedAt}); in-doubt lists the hazard`,
    );
    await expectAlertAnd(lab, 'concordat_hazards_open', 1);
    narration.observation('/metrics: concordat_hazards_open 1, and concordat_alerts_total has risen');

    narration.action('rule that the transaction is aborted after all');
    const refused = await rule(lab, transactionId, { action: 'abort', reason: REASON });
    if (refused.status !== 409)
      throw new LabError(`It should be refused, and was answered ${describeAnswer(refused)}.`);
    narration.observation(`refused: ${describeAnswer(refused)}`);
    narration.action('rule to give it up (forget)');
    await ruleOn(lab, transactionId, { action: 'forget', reason: REASON });
    const ended = await show(lab, transactionId);
    if (ended.outcome !== 'mixed' || ended.endedAt === 'null') throw new LabError('The transaction should have ended.');
    narration.observation(`it has ended as ${ended.outcome}; its rulings: ${ended.rulings}`);
    await expectAlertAnd(lab, 'concordat_hazards_open', 0);
    narration.observation(
      `${Math.abs(changeAt(lost, lost.lost ?? 'to'))} are missing or too many, at ${bank} only: the checks below know that half`,
    );
    await lab.waitForCommits(20);
  },
};
