import type { FastifyReply } from 'fastify';
import type { Reading, Settlement, TransactionView } from '../transactions/transactions.api.js';
import { makeProblem, problemDefinition, type Problem } from './problems.js';

const JSON_TYPE = 'application/json; charset=utf-8';
const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** Sends a value as JSON. Bypasses Fastify's serialisers. */
export function sendJson(reply: FastifyReply, status: number, value: unknown): void {
  void reply.code(status).header('content-type', JSON_TYPE).send(JSON.stringify(value));
}

/** The answer includes everything up to this index of the log. */
export const APPLIED_INDEX_HEADER = 'Concordat-Applied-Index';

/** Sends the answer to a read. */
export function sendReading(reply: FastifyReply, { value, appliedIndex }: Reading<unknown>): void {
  void reply.header(APPLIED_INDEX_HEADER, String(appliedIndex));
  sendJson(reply, 200, value);
}

/**
 * Sends a problem with its status, and with `Retry-After` where a retry helps.
 *
 * @param retryAfterSeconds where they are known better than by the code
 */
export function sendProblem(
  reply: FastifyReply,
  problem: Problem,
  retryAfterSeconds: number | undefined = problemDefinition(problem.code).retryAfterSeconds,
): void {
  if (retryAfterSeconds !== undefined) void reply.header('retry-after', String(retryAfterSeconds));
  void reply.code(problem.status).header('content-type', PROBLEM_TYPE).send(JSON.stringify(problem));
}

/** The path of a transaction for `Location`, valid on every node. */
export function transactionPath(transaction: TransactionView): string {
  return `/v1/transactions/${transaction.id}`;
}

/**
 * Answers commit, abort and execute: 200 with the outcome that was requested, 409 with another one, 202 when the wait
 * ended first.
 */
export function sendSettlement(
  reply: FastifyReply,
  wanted: 'committed' | 'aborted',
  { settled, transaction }: Settlement,
  instance: string,
): void {
  if (!settled || transaction.outcome === null) {
    void reply.header('location', transactionPath(transaction));
    sendJson(reply, 202, transaction);
  } else if (transaction.outcome === wanted) {
    sendJson(reply, 200, transaction);
  } else {
    sendProblem(reply, otherOutcomeProblem(transaction, transaction.outcome, instance));
  }
}

function otherOutcomeProblem(
  transaction: TransactionView,
  outcome: 'committed' | 'aborted' | 'mixed',
  instance: string,
): Problem {
  const { id: transactionId, reason, detail, cause } = transaction;
  switch (outcome) {
    case 'aborted':
      return makeProblem('TRANSACTION_ABORTED', detail ?? 'the transaction was aborted', instance, {
        transactionId,
        reason,
        ...cause,
      });
    case 'committed':
      return makeProblem('TRANSACTION_COMMITTED', 'the transaction was committed before', instance, { transactionId });
    case 'mixed':
      return makeProblem(
        'TRANSACTION_MIXED',
        'a branch was ended by hand against the decision; the transaction shows which',
        instance,
        { transactionId, decision: transaction.decision, warnings: transaction.warnings },
      );
  }
}
