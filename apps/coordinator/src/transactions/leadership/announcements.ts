import { LIMITS, type AnnounceMessage } from '@concordat/commit-protocol';
import type { Clock, Logger } from '@concordat/foundation';
import type { DecisionLog } from '../../decision-log/decision-log.js';
import { LiveInstances } from './live-instances.js';

/** A leader has heard every live instance after this; they announce themselves every ten seconds. */
export const LISTENING_MS = 15_000;
/** For participants that do not say which of their processes speaks. */
const UNNAMED = '';

/**
 * Logs the operations of a participant when they change: those that every live instance serves.
 * While two versions of a participant run, that is what both have, whichever announces itself last; a new operation
 * is known when the last process without it has gone. When no instance lives, what is known stays: work waits for them.
 *
 * Made by each leader, whose memory is empty at first: until it has heard all instances it takes operations away, which
 * is safe, but adds none to a participant that was known before it.
 */
export class Announcements {
  private readonly underWay = new Set<string>();
  private readonly instances = new LiveInstances();
  /** participants of which nothing was known before this leader */
  private readonly madeHere = new Set<string>();
  private readonly since: number;
  private refusedNewcomers = 0;
  /** by participant, in milliseconds since 1970 */
  private readonly limits = new Map<string, number>();

  constructor(
    private readonly log: DecisionLog,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly onAlert: (detail: string) => void = () => undefined,
  ) {
    this.since = clock.monotonic();
  }

  take(message: AnnounceMessage): void {
    const { participant, instance = UNNAMED, operations, leaving } = message;
    this.noteDatabase(message);
    const now = this.clock.monotonic();
    const known = this.log.state.participant(participant)?.operations;
    if (!known && !this.admitsNewcomer(participant)) return;
    if (leaving) this.instances.leave(participant, instance);
    else this.instances.announce(participant, instance, operations, now);
    const served = this.instances.servedByAll(participant, now);
    if (served) this.learn(participant, this.certain(participant, known, served, now), known);
  }

  /** Strangers may announce what they like; what is kept of it is bounded. */
  private admitsNewcomer(participant: string): boolean {
    const count = [...this.log.state.participants()].length + this.underWay.size;
    if (this.underWay.has(participant) || count < LIMITS.participants) return true;
    if (this.refusedNewcomers++ === 0) {
      this.logger.error(
        `ALERT ${LIMITS.participants} participants are known: "${participant}" and others are not taken up`,
      );
    }
    return false;
  }

  private certain(
    participant: string,
    known: ReadonlySet<string> | undefined,
    served: ReadonlySet<string>,
    now: number,
  ): ReadonlySet<string> {
    if (!known || known.size === 0) this.madeHere.add(participant);
    if (this.madeHere.has(participant) || now - this.since >= LISTENING_MS) return served;
    return new Set([...served].filter((operation) => known?.has(operation)));
  }

  private learn(participant: string, operations: ReadonlySet<string>, known: ReadonlySet<string> | undefined): void {
    const same = known?.size === operations.size && [...operations].every((operation) => known.has(operation));
    if (same || this.underWay.has(participant)) return;
    this.underWay.add(participant);
    const forget = (): void => void this.underWay.delete(participant);
    const record = {
      type: 'participant',
      name: participant,
      operations: [...operations],
      at: this.clock.now(),
    } as const;
    this.log.append(record).then(forget, forget);
  }

  /** Told once by each leader: its operators may not read the participant's log. */
  private noteDatabase({ participant, abstainsBefore = 0 }: AnnounceMessage): void {
    if (abstainsBefore <= (this.limits.get(participant) ?? 0) || !this.log.state.participant(participant)) return;
    this.limits.set(participant, abstainsBefore);
    this.onAlert(
      `DATABASE_CHANGED: the database of ${participant} was restored or has failed over, and may have lost its last ` +
        `writes; it says nothing of three-phase transactions that began before ${new Date(abstainsBefore).toISOString()}`,
    );
  }
}
