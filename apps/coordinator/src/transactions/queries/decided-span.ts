import { SPAN_ATTRIBUTES, type Tracing } from '@concordat/foundation';
import type { TransactionState } from '@concordat/commit-protocol';

/** The time from begin to decision as a span of the client's trace; nothing when the client has none. */
export function recordSpan(tracing: Tracing, transaction: TransactionState): void {
  const { traceparent, transactionId, protocol, createdAt, decidedAt, outcome, cause, branches } = transaction;
  if (traceparent === undefined || decidedAt === undefined) return;
  tracing.record({
    name: 'concordat coordinate',
    kind: 'server',
    parent: traceparent,
    startedAt: createdAt,
    endedAt: decidedAt,
    error: cause?.detail,
    attributes: {
      [SPAN_ATTRIBUTES.transactionId]: transactionId,
      [SPAN_ATTRIBUTES.protocol]: protocol,
      [SPAN_ATTRIBUTES.outcome]: outcome,
      [SPAN_ATTRIBUTES.reason]: cause?.reason,
      'concordat.branches': branches.length,
    },
  });
}
