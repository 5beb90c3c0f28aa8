import type { GlobalTransactions } from '../global-transactions.js';
import type { OutgoingCall } from '../outgoing-call.js';
import type { OutgoingMessage } from '../outgoing-message.js';

/**
 * The call to a destination, of the participants of this process. Where transactions of several are running around it,
 * of the innermost that propagates there; undefined when none does.
 */
export function callOf(modules: Iterable<GlobalTransactions>, destination: string): OutgoingCall | undefined {
  return innermost(modules, (one) => one.propagatesTo(destination))?.outgoing(destination);
}

/** The same for a message that nobody answers. */
export function messageOf(modules: Iterable<GlobalTransactions>, topic: string): OutgoingMessage | undefined {
  return innermost(modules, (one) => one.consumersOf(topic) !== undefined)?.outgoingMessage(topic);
}

/** Whether such a message carries a transaction. */
export function isCarrying(modules: Iterable<GlobalTransactions>, topic: string): boolean {
  for (const transactions of modules) if (transactions.consumersOf(topic)) return true;
  return false;
}

/** Whether a call that has this context is being made already, by whoever has passed its request on to here. */
export function isUnderWay(modules: Iterable<GlobalTransactions>, context: unknown): boolean {
  if (typeof context !== 'string') return false;
  for (const transactions of modules)
    if (transactions.currentScope()?.transaction.callsUnderWay.has(context)) return true;
  return false;
}

function innermost(
  modules: Iterable<GlobalTransactions>,
  propagates: (transactions: GlobalTransactions) => boolean,
): GlobalTransactions | undefined {
  let found: GlobalTransactions | undefined;
  let order = -1;
  for (const transactions of modules) {
    const scope = transactions.currentScope();
    if (scope && scope.order > order && propagates(transactions)) [found, order] = [transactions, scope.order];
  }
  return found;
}
