import { Observable, from } from 'rxjs';
import type { CurrentTransaction, GlobalTransactionOptions, GlobalTransactions } from '@concordat/participant';

/**
 * An Observable whose whole run is one method of a global transaction, begun by each subscription: `make` is called and
 * its Observable subscribed to inside. Its values come when the transaction has committed, so that nobody acts on values
 * that may be taken back, and `firstValueFrom` cannot cancel what it has got. Unsubscribing before aborts.
 */
export function runObservable<T>(
  transactions: GlobalTransactions,
  options: GlobalTransactionOptions,
  make: (transaction: CurrentTransaction | undefined) => Observable<T>,
): Observable<T> {
  return new Observable((subscriber) => {
    let cancel = (): void => undefined;
    let isCancelled = false;
    const whole = transactions.run(options, (transaction) => {
      const values: T[] = [];
      return new Promise<readonly T[]>((resolve, reject) => {
        const inner = make(transaction).subscribe({
          next: (value) => void values.push(value),
          error: reject,
          complete: () => resolve(values),
        });
        cancel = () => {
          inner.unsubscribe();
          reject(new SubscriptionEndedError('the subscriber left before the transaction had committed'));
        };
        if (isCancelled) cancel();
      });
    });
    whole.then(
      (values) => void from(values).subscribe(subscriber),
      (error: unknown) => subscriber.error(error),
    );
    return () => {
      isCancelled = true;
      cancel();
    };
  });
}

/** Nobody hears it: the subscriber has left. */
class SubscriptionEndedError extends Error {}
