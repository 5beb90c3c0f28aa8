import { VirtualClock, type Clock } from './clock.js';
import { codedError, errorMessage } from './coded-error.js';
import type { Variable } from './environment.js';
import type { Logger } from './logger.js';
import { sleep } from './time-limit.js';

/**
 * Named places in the code at which a test or demo may crash, pause or delay the process (`CONCORDAT_FAILPOINTS`). A
 * library only reports that it passes one; the host acts.
 *
 * `hit` returns undefined, at no cost, unless the point is armed; otherwise a promise to await before going on. `about`
 * is what passes it, where that is one thing: a host may look at it, and change nothing.
 */
export interface Failpoints {
  hit(name: string, about?: object): Promise<void> | undefined;
}

/** No failpoint is armed: the default of every library. */
export const noFailpoints: Failpoints = { hit: () => undefined };

/** Passes a failpoint after an action: it may delay what follows, but its errors are only logged. */
export function reachFailpoint(
  failpoints: Failpoints,
  name: string,
  logger: Logger,
  about?: object,
): Promise<void> | undefined {
  const goOn = (error: unknown): void => {
    logger.warn(`${errorMessage(error)}; the action before it has happened, so the process continues`);
  };
  try {
    return failpoints.hit(name, about)?.catch(goOn);
  } catch (error) {
    goOn(error);
    return undefined;
  }
}

/** The names `<process>.<thing>.<moment>`, each thing at each moment, in this order. */
export function failpointNames<Process extends string, Thing extends string, Moment extends string>(
  process: Process,
  things: readonly Thing[],
  moments: readonly Moment[],
): readonly `${Process}.${Thing}.${Moment}`[] {
  return things.flatMap((thing) => moments.map((moment) => `${process}.${thing}.${moment}` as const));
}

/** `kill` ends the process at once (kill -9), `pause` stops it (SIGSTOP), `delay` waits, `error` throws. */
export type FailpointAction = 'kill' | 'pause' | 'delay' | 'error';

interface ArmedFailpoint {
  readonly name: string;
  readonly action: FailpointAction;
  readonly delayMs: number;
  /** passes left until the action happens, once */
  remaining: number;
}

/** A failpoint specification that cannot be parsed. */
export class FailpointSpecificationError extends codedError('INVALID_FAILPOINT') {}

/** The error of a failpoint with the action `error`. */
export class FailpointError extends codedError('FAILPOINT', { retryable: true }) {}

const ENTRY = /^([a-z0-9.-]+)=(kill|pause|delay|error)(?::(\d{1,6}))?(?:@(\d{1,6}))?$/;

/**
 * Failpoints of a process. A specification is a list `name=action[:delayMs][@nth]`, separated by commas:
 * `coordinator.decide.before-append=kill` or `participant.vote.before-send=delay:500@3` (the third time only). Each
 * entry acts once.
 */
export class ArmableFailpoints implements Failpoints {
  private armed: ArmedFailpoint[] = [];

  /**
   * @param known every name that exists in the process; others are refused, so that a typo is not silent
   * @param host kills or pauses this process, with immediate effect
   */
  constructor(
    readonly known: readonly string[],
    private readonly clock: Clock,
    private readonly host: { kill(): void; pause(): void },
  ) {}

  /** Replaces the armed failpoints. @throws FailpointSpecificationError, and then nothing has changed */
  arm(specification: string): void {
    const entries = specification
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
    this.armed = entries.map((entry) => this.parse(entry));
  }

  list(): string[] {
    return this.armed.map(({ name, action }) => `${name}=${action}`);
  }

  hit(name: string): Promise<void> | undefined {
    if (this.armed.length === 0) return undefined;
    const point = this.armed.find((candidate) => candidate.name === name);
    if (!point || --point.remaining > 0) return undefined;
    this.armed = this.armed.filter((candidate) => candidate !== point);
    return this.act(point);
  }

  private act({ name, action, delayMs }: ArmedFailpoint): Promise<void> | undefined {
    switch (action) {
      case 'kill':
        this.host.kill();
        return new Promise(() => undefined); // nothing after this point runs, even if the signal is late
      case 'pause':
        this.host.pause();
        return undefined;
      case 'delay':
        return sleep(this.clock, delayMs);
      case 'error':
        throw new FailpointError(`the failpoint ${name} was told to fail`);
    }
  }

  private parse(entry: string): ArmedFailpoint {
    const match = ENTRY.exec(entry);
    if (!match) {
      throw new FailpointSpecificationError(
        `"${entry}" is not a failpoint; write name=kill|pause|delay:<ms>|error, and @<n> for the n-th time`,
      );
    }
    const [, name, action, delayMs, nth] = match;
    if (!this.known.includes(name!)) {
      throw new FailpointSpecificationError(`no failpoint is called "${name}"; there are: ${this.known.join(', ')}`);
    }
    return {
      name: name!,
      action: action as FailpointAction,
      delayMs: Number(delayMs ?? 0),
      remaining: Number(nth ?? 1),
    };
  }
}

/** Whether the process has failpoints, and which are armed from its start. */
export interface FailpointSettings {
  readonly enabled: boolean;
  /** a specification; empty for none */
  readonly armed: string;
}

/** How `CONCORDAT_FAILPOINTS` is read; a specification is tried on an instance without effects. */
export function failpointVariable(names: readonly string[]): Variable<FailpointSettings> {
  return {
    default: 'off',
    expected: `off, on, or name=kill|pause|delay:<ms>|error[@<nth time>] separated by commas; names: ${names.join(' ')}`,
    parse: (text) => {
      if (text === 'off') return { enabled: false, armed: '' };
      if (text === 'on') return { enabled: true, armed: '' };
      const nothing = (): void => undefined;
      try {
        new ArmableFailpoints(names, new VirtualClock(), { kill: nothing, pause: nothing }).arm(text);
        return { enabled: true, armed: text };
      } catch (error) {
        if (error instanceof FailpointSpecificationError) return undefined;
        throw error;
      }
    },
  };
}
