import { backoffMs, fitText, isExactText, type Clock, type Random, type Timer } from '@concordat/foundation';
import { LIMITS, type AnnounceMessage } from '@concordat/commit-protocol';
import { ParticipantConfigurationError } from './errors.js';

/** between the first two announcements; doubles up to the limit */
const FIRST_INTERVAL_MS = 250;

export interface AnnouncerPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly participant: string;
  readonly instance: string;
  readonly operations: () => readonly string[];
  /** see `AnnounceMessage.abstainsBefore`; 0 for none */
  readonly abstainsBefore: () => number;
  /** see `AnnounceMessage.database` */
  readonly database: () => string | undefined;
  readonly send: (message: AnnounceMessage) => void;
}

/** Tells the coordinators which operations this process serves: at the start, every interval, and when it leaves. */
export class Announcer {
  private timer: Timer | undefined;
  private count = 0;

  /** @param intervalMs between announcements, in milliseconds; shorter at first */
  constructor(
    private readonly intervalMs: number,
    private readonly ports: AnnouncerPorts,
  ) {}

  /** Often at first: a coordinator that starts at the same time may not be subscribed yet. */
  start(): void {
    this.announce();
    const spacing = { baseMs: FIRST_INTERVAL_MS, capMs: this.intervalMs };
    const delayMs = backoffMs(this.count++, spacing, this.ports.random);
    this.timer = this.ports.clock.setTimer(delayMs, () => this.start());
  }

  announce(): void {
    const { participant, instance, operations, abstainsBefore, send } = this.ports;
    const database = this.ports.database();
    const limitMs = Math.ceil(abstainsBefore());
    const limit = limitMs > 0 && { abstainsBefore: limitMs };
    send({
      type: 'announce',
      participant,
      instance,
      operations: operations(),
      ...limit,
      ...(database !== undefined && { database }),
    });
  }

  /** The coordinators stop counting on this process before its announcement expires. */
  leave(): void {
    this.timer?.cancel();
    if (this.count === 0) return;
    const { participant, instance, operations, send } = this.ports;
    send({ type: 'announce', participant, instance, operations: operations(), leaving: true });
  }
}

/** @throws ParticipantConfigurationError when no message can announce these operations */
export function refuseInvalidOperations(operations: readonly string[]): void {
  const { announcedOperations, operationNameLength } = LIMITS;
  if (operations.length > announcedOperations) {
    throw new ParticipantConfigurationError(
      `there are ${operations.length} operations; a participant announces at most ${announcedOperations}`,
    );
  }
  const wrong = operations.find((name) => name === '' || name.length > operationNameLength || !isExactText(name));
  if (wrong === undefined) return;
  throw new ParticipantConfigurationError(
    `"${fitText(wrong, operationNameLength)}" cannot name an operation: use 1 to ${operationNameLength} characters`,
  );
}
