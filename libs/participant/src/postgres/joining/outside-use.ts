import type { CurrentWork } from './joinable-work.js';

/** What a joining pool or DataSource reports beside its work. */
export interface JoiningOptions {
  /** Called once, with a sentence, when statements are sent past the global transaction. */
  readonly onOutsideUse?: (sentence: string) => void;
}

const outside = (transactionId: string | undefined): string =>
  `a connection that was taken before global transaction ${transactionId ?? '(of a handler)'} began is used inside it: ` +
  'its statements are no part of the transaction, and stay when it aborts; take the connection inside the method ' +
  '(pool.connect(), dataSource.createQueryRunner()), or use pool.query()';

interface QueryingClient {
  query(...parameters: unknown[]): unknown;
}

/**
 * Finds connections of the user's own that are used inside a global transaction. They keep working as they did: the
 * connection may be meant for something else, such as `LISTEN`.
 */
export class OutsideUse {
  private readonly watched = new WeakSet<object>();
  private isOver = false;

  constructor(
    private readonly current: CurrentWork,
    private readonly report: (sentence: string) => void,
  ) {}

  /** A connection of the pool; each is watched once. */
  watch(client: object): void {
    if (this.isOver || this.watched.has(client)) return;
    this.watched.add(client);
    const querying = client as QueryingClient;
    const query = querying.query.bind(client);
    querying.query = (...parameters) => {
      const work = this.isOver ? undefined : this.current();
      if (work) {
        this.isOver = true;
        this.report(outside(work.transactionId));
      }
      return query(...parameters);
    };
  }

  /** Nothing is reported any more. */
  end(): void {
    this.isOver = true;
  }
}
