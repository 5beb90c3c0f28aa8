import { randomInteger, type Random } from '@concordat/foundation';
import { InvalidArgumentError } from '../errors.js';
import { checkKinds, type Direction, type KnownMessage, type MessageKind } from './message-kinds.js';
import { SwitchState, type Switch } from './switch.js';

/** Milliseconds, or the least and the most of them: each message draws its own. */
export type Delay = number | readonly [minimumMs: number, maximumMs: number];

/** What a rule does with the messages that it concerns. */
export type MessageFault =
  { readonly type: 'lose' } | { readonly type: 'delay'; readonly delay: Delay } | { readonly type: 'duplicate' };

export interface MessageRule {
  readonly participant: string;
  readonly kinds: readonly MessageKind[];
  /** undefined: both */
  readonly direction?: Direction;
  readonly fault: MessageFault;
  /**
   * how many messages; `transaction`: all of the next transaction that has one, so that the repeats meet the same fate;
   * undefined: no end
   */
  readonly times?: number | 'transaction';
}

/** When a message, and each further copy of it, goes on: after so many milliseconds. Empty: never. */
export type Deliveries = readonly number[];

const AT_ONCE: Deliveries = [0];
/** Of a copy behind its message. */
const DUPLICATE_DELAY_MS = 5;
const LONGEST_DELAY_MS = 3_600_000;

interface ActiveRule {
  readonly rule: MessageRule;
  readonly state: SwitchState;
  transactionId: string | undefined;
}

/** The rules that are on, and what becomes of a message under them. */
export class MessageRules {
  private readonly active = new Set<ActiveRule>();

  /** @param random draws the delays */
  constructor(private readonly random: Random) {}

  /** @throws UnknownNameError, InvalidArgumentError */
  add(rule: MessageRule): Switch {
    checkKinds(rule.kinds);
    checkTimes(rule.times);
    if (rule.fault.type === 'delay') checkDelay(rule.fault.delay);
    const state = new SwitchState(() => this.active.delete(active));
    const active: ActiveRule = { rule, state, transactionId: undefined };
    this.active.add(active);
    return state;
  }

  clear(): void {
    for (const { state } of this.active) state.off();
  }

  deliveriesOf(message: KnownMessage | undefined): Deliveries {
    if (!message || this.active.size === 0) return AT_ONCE;
    let delayMs = 0;
    let [isLost, isDuplicated] = [false, false];
    for (const active of this.active) {
      if (!concerns(active, message)) continue;
      this.count(active, message);
      const { fault } = active.rule;
      if (fault.type === 'lose') isLost = true;
      else if (fault.type === 'duplicate') isDuplicated = true;
      else delayMs += this.draw(fault.delay);
    }
    if (isLost) return [];
    return isDuplicated ? [delayMs, delayMs + DUPLICATE_DELAY_MS] : [delayMs];
  }

  private count(active: ActiveRule, { transactionId }: KnownMessage): void {
    const { rule, state } = active;
    state.hit();
    if (rule.times === 'transaction') active.transactionId ??= transactionId;
    else if (rule.times !== undefined && state.hits >= rule.times) state.off();
  }

  private draw(delay: Delay): number {
    return typeof delay === 'number' ? delay : randomInteger(this.random, delay[0], delay[1]);
  }
}

function concerns({ rule, transactionId }: ActiveRule, message: KnownMessage): boolean {
  return (
    rule.participant === message.participant &&
    rule.kinds.includes(message.kind) &&
    (rule.direction === undefined || rule.direction === message.direction) &&
    (transactionId === undefined || transactionId === message.transactionId)
  );
}

export function checkTimes(times: MessageRule['times']): void {
  if (times === undefined || times === 'transaction' || (Number.isInteger(times) && times > 0)) return;
  throw new InvalidArgumentError(`times is ${times}; it must be a whole number above 0`);
}

export function checkDelay(delay: Delay): void {
  const [minimumMs, maximumMs] = typeof delay === 'number' ? [delay, delay] : delay;
  const isTime = (ms: number): boolean => Number.isInteger(ms) && ms >= 0 && ms <= LONGEST_DELAY_MS;
  if (isTime(minimumMs) && isTime(maximumMs) && minimumMs <= maximumMs) return;
  throw new InvalidArgumentError(
    `the delay is ${JSON.stringify(delay)}; it must be whole milliseconds from 0 to ${LONGEST_DELAY_MS}, or [least, most] of them`,
  );
}
