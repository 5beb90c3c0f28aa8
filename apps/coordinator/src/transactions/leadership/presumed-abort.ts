import type { CoordinatorMessage, InquiryMessage } from '@concordat/commit-protocol';
import type { DecisionLog } from '../../decision-log/decision-log.js';
import type { UnknownOldBranches } from './unknown-old-branches.js';

/** A branch of a transaction that neither the log nor the leader knows. */
export type UnknownBranch = Pick<InquiryMessage, 'transactionId' | 'branchId' | 'participant'>;

export interface PresumedAbortDependencies {
  readonly log: DecisionLog;
  readonly unknownOld: UnknownOldBranches;
  readonly onAlert: (detail: string) => void;
}

/**
 * Presumed abort (protocol section 3). Needs a read barrier of the leader, and applies only where nothing can have been
 * forgotten, by the retention or with an earlier group. Elsewhere only an operator's ruling can decide.
 *
 * @param isUnknown whether this node still leads and its proposals in flight do not have the transaction either
 * @returns undefined when this node no longer leads (the participant asks again), or the log has the transaction by now
 */
export async function answerAboutUnknown(
  { transactionId, branchId, participant }: UnknownBranch,
  { log, unknownOld, onAlert }: PresumedAbortDependencies,
  isUnknown: () => boolean,
): Promise<CoordinatorMessage | undefined> {
  try {
    await log.confirmLeadership();
  } catch {
    return undefined;
  }
  if (!isUnknown() || log.state.find(transactionId)) return undefined;
  if (!log.state.mayHaveExpired(transactionId)) {
    return { type: 'decision', transactionId, branchId, participant, decision: 'abort', attempt: 0 };
  }
  const action = log.state.oldRulings.get(branchId)?.action;
  if (action !== undefined && action !== 'forget') {
    return { type: 'decision', transactionId, branchId, participant, decision: action, attempt: 0 };
  }
  if (unknownOld.add({ transactionId, branchId, participant })) {
    onAlert(`${participant} asks about transaction ${transactionId}, which is older than the retention or the group`);
  }
  return { type: 'unknown-old', transactionId, branchId, participant };
}
