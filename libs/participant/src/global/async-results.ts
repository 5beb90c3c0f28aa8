import type { CurrentTransaction } from './current-transaction.js';
import type { GlobalTransactions } from './global-transactions.js';
import type { GlobalTransactionOptions } from './options.js';

type Request = { readonly verb: 'next' | 'return' } | { readonly verb: 'throw'; readonly error: unknown };
type Turn<T> = { readonly type: 'value'; readonly value: T } | { readonly type: 'end' };

/**
 * An async generator whose whole run is one method of a global transaction: it begins with the first value that is asked
 * for, and commits before the generator says that it is done. A consumer that stops early ends it as a `return` there
 * would, and it commits.
 */
export async function* runGenerator<T>(
  transactions: GlobalTransactions,
  options: GlobalTransactionOptions,
  generate: (transaction: CurrentTransaction | undefined) => AsyncGenerator<T, void, void>,
): AsyncGenerator<T, void, void> {
  const turns = new Turns<T>();
  const whole = transactions.run(options, async (transaction) => {
    const source = generate(transaction);
    for (;;) {
      const { done, value } = await take(source, await turns.nextRequest());
      if (done) return;
      turns.give({ type: 'value', value });
    }
  });
  const end = whole.then((): Turn<T> => ({ type: 'end' }));
  end.catch(() => undefined); // `whole` is awaited below
  try {
    for (;;) {
      const turn = await Promise.race([turns.ask({ verb: 'next' }), end]);
      if (turn.type === 'end') return;
      try {
        yield turn.value;
      } catch (error) {
        void turns.ask({ verb: 'throw', error });
        throw error;
      }
    }
  } finally {
    void turns.ask({ verb: 'return' });
    await whole;
  }
}

function take<T>(source: AsyncGenerator<T, void, void>, request: Request): Promise<IteratorResult<T, void>> {
  if (request.verb === 'next') return source.next();
  return request.verb === 'throw' ? source.throw(request.error) : source.return();
}

/** Hands requests to the generator and values back, one at a time. */
class Turns<T> {
  private readonly requests: Request[] = [];
  private onRequest: (() => void) | undefined;
  private onValue: ((turn: Turn<T>) => void) | undefined;

  ask(request: Request): Promise<Turn<T>> {
    this.requests.push(request);
    this.onRequest?.();
    return new Promise((resolve) => (this.onValue = resolve));
  }

  async nextRequest(): Promise<Request> {
    for (;;) {
      const request = this.requests.shift();
      if (request) return request;
      await new Promise<void>((resolve) => (this.onRequest = resolve));
    }
  }

  give(turn: Turn<T>): void {
    this.onValue?.(turn);
  }
}
