import { isExactText, type JsonValue } from '@concordat/foundation';
import { GlobalConfigurationError } from './errors.js';

/** What a method does with a global transaction that exists, and without one (docs/guides/propagation.md). */
export const PROPAGATIONS = [
  'REQUIRED',
  'REQUIRES_NEW',
  'NESTED',
  'SUPPORTS',
  'MANDATORY',
  'NOT_SUPPORTED',
  'NEVER',
] as const;
export type Propagation = (typeof PROPAGATIONS)[number];

/**
 * - `begin`: a new transaction, whose end is the end of the method
 * - `join`: the current one, behind a savepoint
 * - `outside`: no transaction; a current one is suspended while the method runs
 * - `require`, `forbid`: an error
 */
export type PropagationStep = 'begin' | 'join' | 'outside' | 'require' | 'forbid';

const STEPS: Readonly<Record<Propagation, { readonly without: PropagationStep; readonly within: PropagationStep }>> = {
  REQUIRED: { without: 'begin', within: 'join' },
  REQUIRES_NEW: { without: 'begin', within: 'begin' },
  NESTED: { without: 'begin', within: 'join' },
  SUPPORTS: { without: 'outside', within: 'join' },
  MANDATORY: { without: 'require', within: 'join' },
  NOT_SUPPORTED: { without: 'outside', within: 'outside' },
  NEVER: { without: 'outside', within: 'forbid' },
};

export function propagationStep(propagation: Propagation, isWithin: boolean): PropagationStep {
  return STEPS[propagation][isWithin ? 'within' : 'without'];
}

export interface RetryOptions {
  /** the whole method, each time in a new transaction; from 1 (no retry) to 10 */
  readonly attempts: number;
}

/** How a method begins a global transaction. */
export interface GlobalTransactionOptions {
  /** from begin to decision, in milliseconds, 100 to 3,600,000; default 30,000 */
  readonly timeoutMs?: number;
  /** default `2pc` */
  readonly protocol?: '2pc' | '3pc';
  /** default `REQUIRED` */
  readonly propagation?: Propagation;
  /**
   * repeats the method in a new transaction after a serialization failure, a deadlock or a lock timeout. Only for
   * methods without other effects. Default: no retry
   */
  readonly retry?: RetryOptions;
  /** kept with the transaction, shown by the REST interface; at most 16 KiB of JSON */
  readonly metadata?: Readonly<Record<string, JsonValue>>;
}

export const DEFAULT_TIMEOUT_MS = 30_000;
const TIMEOUT_MS = { minimum: 100, maximum: 3_600_000 };
const MAXIMUM_ATTEMPTS = 10;
const OPTION_NAMES = new Set(['timeoutMs', 'protocol', 'propagation', 'retry', 'metadata']);

/**
 * @param where names the method, for the sentence
 * @throws GlobalConfigurationError for an unknown option or a value out of range
 */
export function checkGlobalTransactionOptions(options: GlobalTransactionOptions, where: string): void {
  const refuse = (sentence: string): never => {
    throw new GlobalConfigurationError(`${where}: ${sentence}`);
  };
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.has(name)) refuse(`there is no option "${name}"; use ${[...OPTION_NAMES].join(', ')}`);
  }
  const { timeoutMs, protocol, propagation, retry } = options;
  if (timeoutMs !== undefined && !isWithin(timeoutMs, TIMEOUT_MS.minimum, TIMEOUT_MS.maximum)) {
    refuse(
      `timeoutMs is ${timeoutMs}; use a number of milliseconds from ${TIMEOUT_MS.minimum} to ${TIMEOUT_MS.maximum}`,
    );
  }
  if (protocol !== undefined && protocol !== '2pc' && protocol !== '3pc') {
    refuse(`protocol is "${String(protocol)}"; use 2pc or 3pc`);
  }
  if (propagation !== undefined) checkPropagation(propagation, where);
  if (retry !== undefined && !isWithin(retry.attempts, 1, MAXIMUM_ATTEMPTS, Number.isInteger)) {
    refuse(`retry.attempts is ${retry.attempts}; use a whole number from 1 to ${MAXIMUM_ATTEMPTS}`);
  }
}

/** @throws GlobalConfigurationError for anything but the seven words */
export function checkPropagation(propagation: Propagation, where: string): void {
  if (PROPAGATIONS.includes(propagation)) return;
  throw new GlobalConfigurationError(
    `${where}: propagation is "${propagation}"; use one of ${PROPAGATIONS.join(', ')}`,
  );
}

function isWithin(
  value: number,
  minimum: number,
  maximum: number,
  isKind: (value: unknown) => boolean = Number.isFinite,
): boolean {
  return isKind(value) && value >= minimum && value <= maximum;
}

/** A destination that is given the context of the current transaction. */
export interface Destination {
  /** as addressed: `host[:port]`, a Kafka topic, a queue, a subject */
  readonly destination: string;
  /** as it knows itself, where a proxy or a transport hides the address; default: the destination */
  readonly audience?: string;
  /**
   * of a Kafka topic: the participants that consume it, one for each consumer group. Then events and other messages
   * without a reply carry the transaction, too, and it commits only when each of them has handled the message. Without
   * it they are sent without
   */
  readonly consumers?: readonly string[];
}

/** The allow-list of `propagateTo`: destinations in lower case, each with its audience. */
export class DestinationList {
  private readonly audiences = new Map<string, string>();
  private readonly consumers = new Map<string, readonly string[]>();

  /** @throws GlobalConfigurationError for an entry that is no address, such as a URL */
  constructor(entries: readonly (string | Destination)[]) {
    for (const entry of entries) {
      const {
        destination,
        audience = destination,
        consumers = [],
      }: Destination = typeof entry === 'string' ? { destination: entry } : entry;
      for (const name of [destination, audience]) refuseInvalidDestination(name);
      for (const participant of consumers) refuseInvalidConsumer(participant, destination);
      if (consumers.length > 0) this.consumers.set(destination.toLowerCase(), consumers);
      this.audiences.set(destination.toLowerCase(), audience.toLowerCase());
    }
  }

  /** undefined: the destination is not on the list */
  audienceOf(destination: string): string | undefined {
    return this.audiences.get(destination.toLowerCase());
  }

  /** undefined: messages without a reply are sent without the transaction */
  consumersOf(destination: string): readonly string[] | undefined {
    return this.consumers.get(destination.toLowerCase());
  }
}

function refuseInvalidConsumer(participant: string, destination: string): void {
  if (typeof participant === 'string' && /^[a-z0-9][a-z0-9-]{0,62}$/.test(participant)) return;
  throw new GlobalConfigurationError(
    `propagateTo: the consumers of "${destination}" have "${participant}"; use the names of participants: lower-case ` +
      'letters, digits and hyphens, at most 63',
  );
}

const MAXIMUM_DESTINATION_LENGTH = 255;

function refuseInvalidDestination(name: string): void {
  const isName = typeof name === 'string' && name !== '' && name.length <= MAXIMUM_DESTINATION_LENGTH;
  if (isName && isExactText(name) && !/[\s/]/.test(name)) return;
  throw new GlobalConfigurationError(
    `propagateTo has "${name}"; use host:port as it is called ("inventory:3000", not a URL), or the name of a topic or queue`,
  );
}
