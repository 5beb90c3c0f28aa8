import { randomInteger, type Random } from '@concordat/foundation';
import { InvalidArgumentError, UnknownNameError } from '../errors.js';
import { LOCK_REQUESTS, type LockRequest } from './lock-requests.js';
import { checkDelay, checkTimes, type Delay } from './message-rules.js';
import { SwitchState, type Switch } from './switch.js';

export type LockFault =
  | { readonly type: 'refuse' }
  | { readonly type: 'lose-request' }
  | { readonly type: 'lose-reply' }
  | { readonly type: 'delay'; readonly delay: Delay };

export interface LockRule {
  readonly kinds: readonly LockRequest[];
  /** undefined: every lock */
  readonly name: string | undefined;
  readonly fault: LockFault;
  /** undefined: no end */
  readonly times: number | undefined;
}

/** What becomes of one request. */
export interface LockFate {
  readonly delayMs: number;
  readonly isRefused: boolean;
  readonly isRequestLost: boolean;
  readonly isReplyLost: boolean;
}

interface ActiveRule {
  readonly rule: LockRule;
  readonly state: SwitchState;
}

/** The rules for requests about locks that are on. */
export class LockRules {
  private readonly active = new Set<ActiveRule>();

  /** @param random draws the delays */
  constructor(private readonly random: Random) {}

  /** @throws UnknownNameError, InvalidArgumentError */
  add(rule: LockRule): Switch {
    const unknown = rule.kinds.find((kind) => !LOCK_REQUESTS.includes(kind));
    if (unknown !== undefined) {
      throw new UnknownNameError(`nothing that is asked of a lock is called "${unknown}"; there are: ${LOCK_REQUESTS.join(', ')}`); // prettier-ignore
    }
    if (rule.kinds.length === 0) throw new InvalidArgumentError(`name at least one of: ${LOCK_REQUESTS.join(', ')}`);
    checkTimes(rule.times);
    if (rule.fault.type === 'delay') checkDelay(rule.fault.delay);
    const state = new SwitchState(() => this.active.delete(active));
    const active: ActiveRule = { rule, state };
    this.active.add(active);
    return state;
  }

  clear(): void {
    for (const { state } of this.active) state.off();
  }

  fateOf(kind: LockRequest, name: string): LockFate {
    let delayMs = 0;
    const faults = new Set<LockFault['type']>();
    for (const { rule, state } of this.active) {
      if (!rule.kinds.includes(kind) || (rule.name !== undefined && rule.name !== name)) continue;
      state.hit();
      if (rule.times !== undefined && state.hits >= rule.times) state.off();
      faults.add(rule.fault.type);
      if (rule.fault.type === 'delay') delayMs += this.draw(rule.fault.delay);
    }
    return {
      delayMs,
      isRefused: faults.has('refuse'),
      isRequestLost: faults.has('lose-request'),
      isReplyLost: faults.has('lose-reply'),
    };
  }

  private draw(delay: Delay): number {
    return typeof delay === 'number' ? delay : randomInteger(this.random, delay[0], delay[1]);
  }
}
