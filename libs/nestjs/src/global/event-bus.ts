import type { GlobalTransactions } from '@concordat/participant';

/** The used part of `EventBus` of `@nestjs/cqrs`. */
export interface EventBusLike {
  publish(...parameters: never[]): unknown;
  publishAll(...parameters: never[]): unknown;
}

/**
 * Events that are published inside a global transaction come when it has committed, and never when it has aborted; the
 * call itself then returns undefined. Outside a transaction nothing changes. Call it once, for the `EventBus` of
 * `@nestjs/cqrs`: `publishAfterCommit(eventBus, transactions)`.
 *
 * @returns undoes it
 */
export function publishAfterCommit(eventBus: EventBusLike, transactions: GlobalTransactions): () => void {
  const undo = (['publish', 'publishAll'] as const).map((name) => {
    const publish = eventBus[name].bind(eventBus);
    const isOwn = Object.hasOwn(eventBus, name);
    const before = eventBus[name];
    eventBus[name] = (...parameters) => {
      const transaction = transactions.current();
      if (!transaction) return publish(...parameters);
      transaction.onGlobalCommit(async () => void (await publish(...parameters)));
      return undefined;
    };
    return () => {
      if (isOwn) eventBus[name] = before;
      else Reflect.deleteProperty(eventBus, name);
    };
  });
  return () => undo.forEach((one) => one());
}
