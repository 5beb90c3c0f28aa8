import type { AsyncLocalStorage } from 'node:async_hooks';
import { PARTICIPANT_PACKAGE } from '../../runtime/one-copy.js';

/** Whether what runs has asked a joined pool or DataSource for a connection. */
export class Asking {
  /** resolves with the first connection that is asked for */
  readonly happened: Promise<void>;
  private resolve: () => void = () => undefined;
  private hasHappened = false;

  constructor() {
    this.happened = new Promise((resolve) => (this.resolve = resolve));
  }

  get isSeen(): boolean {
    return this.hasHappened;
  }

  /** Runs what may ask. */
  during<T>(run: () => T): T {
    return watching.run(this, run);
  }

  note(): void {
    this.hasHappened = true;
    this.resolve();
  }
}

const watching = PARTICIPANT_PACKAGE.asking as AsyncLocalStorage<Asking>;

/** A joined pool or DataSource is asked for a connection. */
export function noteAsked(): void {
  watching.getStore()?.note();
}
