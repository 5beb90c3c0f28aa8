import type { Failpoints } from '@concordat/foundation';
import type { ParticipantFailpoint } from '../../runtime/participant-failpoints.js';

export interface HeldFailpoint {
  /** resolves when somebody has come by and waits */
  readonly reached: Promise<void>;
  /** lets the one that waits go on; with an error it fails there */
  readonly release: (error?: Error) => void;
}

/** Failpoints at which a test holds the first who comes by, each once. */
export class HeldFailpoints implements Failpoints {
  private readonly held = new Map<string, () => Promise<void>>();

  hold(name: ParticipantFailpoint): HeldFailpoint {
    let reach = (): void => undefined;
    let release = (_error?: Error): void => undefined;
    const reached = new Promise<void>((resolve) => (reach = resolve));
    const released = new Promise<void>((resolve, reject) => {
      release = (error) => (error ? reject(error) : resolve());
    });
    released.catch(() => undefined); // an error is for the one that waits
    this.held.set(name, () => {
      reach();
      return released;
    });
    return { reached, release };
  }

  hit(name: string): Promise<void> | undefined {
    const waiting = this.held.get(name);
    this.held.delete(name);
    return waiting?.();
  }
}
