import { canonicalJson } from '@concordat/foundation';
import type { ProtocolMessage } from '@concordat/commit-protocol';

/** A message as a line of the trace. */
export function summaryOf(message: ProtocolMessage): string {
  const { type } = message;
  if (type === 'announce') return `announce ${message.participant}`;
  if (type === 'outcome') return `outcome ${message.transactionId} ${message.outcome}`;
  const detail = detailOf(message);
  return `${type} ${detail} ${message.transactionId}/${message.branchId} (${message.participant})`;
}

function detailOf(message: ProtocolMessage): string {
  switch (message.type) {
    case 'decision':
    case 'branches-decided':
      return message.decision;
    case 'ruling':
      return message.ruling;
    case 'vote':
      return message.vote;
    case 'done':
      return message.end;
    case 'ballot-request':
      return canonicalJson({ ...message.request, from: message.proposer?.participant ?? null });
    case 'ballot-answer':
      return canonicalJson({ ...message.answer, to: message.proposer?.participant ?? null });
    default:
      return '';
  }
}
