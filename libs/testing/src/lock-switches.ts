import type { LockView } from 'concordat/embedded';
import { UnknownNameError } from './errors.js';
import { LOCK_REQUESTS, type LockRequest } from './switches/lock-requests.js';
import type { LockRules } from './switches/lock-rules.js';
import type { Delay } from './switches/message-rules.js';
import type { Switch } from './switches/switch.js';

/** Which requests about locks a switch concerns. */
export interface LockSwitchOptions {
  /** only this lock; default: every lock */
  readonly name?: string;
  /** how many requests, 1 by default, all of them for `delay` */
  readonly times?: number;
}

export interface LockSwitchPorts {
  readonly rules: LockRules;
  /** the holder of a lock; undefined: it is free */
  readonly holderOf: (name: string) => Pick<LockView, 'owner' | 'fencingToken'> | undefined;
  readonly release: (lock: Pick<LockView, 'name' | 'owner' | 'fencingToken'>) => Promise<void>;
}

/** What a test can do to `client.locks`, and to everything that is built on it, such as `@WithLock`. */
export class LockSwitches {
  constructor(private readonly ports: LockSwitchPorts) {}

  /** The next acquisition is refused with `LOCK_HELD`, as if another owner had the lock; also one that would wait. */
  refuseNext(options: LockSwitchOptions = {}): Switch {
    return this.add(['acquire'], { type: 'refuse' }, { times: 1, ...options });
  }

  /** The request never arrives: its client is told `OUTCOME_UNKNOWN`, and nothing has happened. */
  loseRequest(kind: LockRequest, options: LockSwitchOptions = {}): Switch {
    return this.add([kind], { type: 'lose-request' }, { times: 1, ...options });
  }

  /** The request is carried out, and its client is told `OUTCOME_UNKNOWN`. */
  loseReply(kind: LockRequest, options: LockSwitchOptions = {}): Switch {
    return this.add([kind], { type: 'lose-reply' }, { times: 1, ...options });
  }

  /** Requests are late, each by its own time if a range is given. @param kinds default: all */
  delay(delay: Delay, kinds: readonly LockRequest[] = LOCK_REQUESTS, options: LockSwitchOptions = {}): Switch {
    return this.add(kinds, { type: 'delay', delay }, options);
  }

  /**
   * The lease ends now, as when its holder was paused for too long: another owner can have the lock, and the holder
   * learns of it with its next renewal.
   *
   * @throws UnknownNameError when nobody holds it
   */
  async lose(name: string): Promise<void> {
    const holder = this.ports.holderOf(name);
    if (!holder) throw new UnknownNameError(`nobody holds the lock "${name}"; acquire it first`);
    await this.ports.release({ name, owner: holder.owner, fencingToken: holder.fencingToken });
  }

  private add(
    kinds: readonly LockRequest[],
    fault: Parameters<LockRules['add']>[0]['fault'],
    { name, times }: LockSwitchOptions,
  ): Switch {
    return this.ports.rules.add({ kinds, fault, name, times });
  }
}
