import { LIMITS, type AnnounceMessage } from '@concordat/commit-protocol';
import type { Clock, Logger } from '@concordat/foundation';
import type { DecisionLog } from '../../decision-log/decision-log.js';
import { LiveInstances } from './live-instances.js';

/** After this time a leader knows every live instance: they announce themselves every ten seconds. */
export const DISCOVERY_MS = 15_000;
/** For participants whose announcements name no instance. */
const UNNAMED = '';

/**
 * Logs the operations of a participant when they change: those that every live instance serves. During a rolling update
 * these are the operations of both versions; a new operation is known when the last old process has gone. When no
 * instance is alive, the known operations stay, and work waits.
 *
 * Each leader makes a new one. Until it has received the announcements of all instances, it removes operations, which
 * is safe, but adds none to a participant that was known before.
 */
export class Announcements {
  private readonly underWay = new Set<string>();
  private readonly instances = new LiveInstances();
  /** participants that became known during this leadership */
  private readonly newParticipants = new Set<string>();
  private readonly since: number;
  private refusedNewcomers = 0;
  /** participants of which an alert has said so */
  private readonly onSeveralDatabases = new Set<string>();
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
    const { participant, instance = UNNAMED, operations, leaving, database } = message;
    this.noteDatabase(message);
    const now = this.clock.monotonic();
    const known = this.log.state.participant(participant)?.operations;
    if (!known && !this.admitsNewcomer(participant)) return;
    if (leaving) this.instances.leave(participant, instance);
    else this.instances.announce(participant, instance, operations, now, database);
    this.noteSeveralDatabases(participant, now);
    const served = this.instances.servedByAll(participant, now);
    if (served) this.learn(participant, this.certain(participant, known, served, now), known);
  }

  /** Anybody on the topic can announce participants, so their number is bounded. */
  private admitsNewcomer(participant: string): boolean {
    const count = [...this.log.state.participants()].length + this.underWay.size;
    if (this.underWay.has(participant) || count < LIMITS.participants) return true;
    if (this.refusedNewcomers++ === 0) {
      this.logger.error(`ALERT ${LIMITS.participants} participants are known: "${participant}" and others are ignored`);
    }
    return false;
  }

  private certain(
    participant: string,
    known: ReadonlySet<string> | undefined,
    served: ReadonlySet<string>,
    now: number,
  ): ReadonlySet<string> {
    if (!known || known.size === 0) this.newParticipants.add(participant);
    if (this.newParticipants.has(participant) || now - this.since >= DISCOVERY_MS) return served;
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

  /** Two services under one name: a decision may reach the process that does not have the branch. Said once. */
  private noteSeveralDatabases(participant: string, now: number): void {
    const isSo = this.instances.usesSeveralDatabases(participant, now);
    if (!isSo) this.onSeveralDatabases.delete(participant);
    if (!isSo || this.onSeveralDatabases.has(participant)) return;
    this.onSeveralDatabases.add(participant);
    this.onAlert(
      `SEVERAL_DATABASES: processes of the participant "${participant}" use different databases, so a decision may reach ` +
        'one that does not have the branch; give each service a participant name of its own, and all processes of one ' +
        'service the same database',
    );
  }

  /** Logged once by each leader: its operators may not read the participant's log. */
  private noteDatabase({ participant, abstainsBefore = 0 }: AnnounceMessage): void {
    if (abstainsBefore <= (this.limits.get(participant) ?? 0) || !this.log.state.participant(participant)) return;
    this.limits.set(participant, abstainsBefore);
    this.onAlert(
      `DATABASE_CHANGED: the database of ${participant} was restored or has failed over, and may have lost its last ` +
        `writes; it abstains in three-phase transactions that began before ${new Date(abstainsBefore).toISOString()}`,
    );
  }
}
