import { backoffMs, errorMessage, sleep, type Random } from '@concordat/foundation';
import { NotJoinedError } from './errors.js';
import type { ProcessTransaction, ProcessTransactionPorts } from './process-transaction.js';

/** Pauses between questions. */
const ASK = { baseMs: 10, capMs: 250 };

/**
 * Waits until the consumers of the transaction's messages have handled them and joined. At once when it sent none.
 *
 * @throws RollbackOnlyError when one has not by the deadline; the transaction is doomed with `NOT_JOINED`
 */
export async function consumersJoined(
  transaction: ProcessTransaction,
  {
    coordinators,
    clock,
    random,
    logger,
  }: Pick<ProcessTransactionPorts, 'coordinators' | 'clock' | 'logger'> & { random: Random },
): Promise<void> {
  const { expected, transactionId } = transaction;
  for (let attempt = 0; expected.size > 0; attempt++) {
    try {
      const { branches, isDecided } = await coordinators.stateOf(transactionId);
      for (const branchId of branches) if (expected.delete(branchId)) transaction.branchesElsewhere.add(branchId);
      if (expected.size === 0 || isDecided) return; // decided: the commit says how
    } catch (error) {
      logger.debug(`the consumers of transaction ${transactionId} are asked about again: ${errorMessage(error)}`);
    }
    if (transaction.leftMs <= 0) return refuse(transaction);
    await sleep(clock, Math.min(backoffMs(attempt, ASK, random), transaction.leftMs));
  }
}

function refuse(transaction: ProcessTransaction): void {
  const [first] = transaction.expected.values();
  const { participant, delivery } = first!;
  const { topic, partition, offset } = delivery;
  const why = `"${participant}" had not joined with the message at offset ${offset}, partition ${partition}, by the deadline`;
  const error = new NotJoinedError(topic, why);
  transaction.doom({ code: error.code, by: participant, message: error.message, cause: error });
  transaction.refuseDoomed();
}
