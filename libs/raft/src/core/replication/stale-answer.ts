import type { Address } from '../membership/addressing.js';
import type { Message } from '../types.js';

/**
 * The answer to a node in an earlier term, so that it learns the present one (paper, section 5.1); undefined for
 * answers to this node's own requests of an earlier term.
 */
export function staleAnswer(message: Message, address: Address): Message | undefined {
  switch (message.type) {
    case 'request-pre-vote':
      return { type: 'pre-vote-reply', ...address, granted: false };
    case 'request-vote':
      return { type: 'request-vote-reply', ...address, granted: false };
    case 'append-entries':
    case 'snapshot-chunk':
      return { type: 'append-entries-refused', ...address, previousIndex: 0, hintIndex: 0, hintTerm: 0, round: 0 };
    default:
      return undefined;
  }
}
