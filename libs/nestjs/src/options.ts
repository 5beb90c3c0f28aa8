import type { Clock, Failpoints, Logger, Random } from '@concordat/foundation';
import type { MessageBus, NamespaceOptions } from '@concordat/messaging';
import type { ParticipantAlert, ParticipantLimits, PostgresResourceManagerSettings } from '@concordat/participant';

/** Everything the module is told; see `ParticipantLimits` and `PostgresResourceManagerSettings` for the defaults. */
export interface ConcordatParticipantOptions {
  /** the participant's name: lower-case letters, digits and hyphens, at most 63 */
  readonly participant: string;
  /** the coordinators' cluster, part of every gid, topic, group and message; default `local` */
  readonly cluster?: string;
  /** what the names of topics and groups begin with, as at the coordinators; default `concordat` */
  readonly topicPrefix?: string;
  /**
   * names this process: unique among those of the participant that live, the same after a restart; default a name of its
   * own at each start, and then a process that was killed counts as live for half a minute more
   */
  readonly instance?: string;
  readonly postgres: Omit<PostgresResourceManagerSettings, 'cluster' | 'participant'>;
  /** makes the bus of this cluster (`kafkaBus`); the module starts and stops it */
  readonly bus: (namespace: NamespaceOptions) => MessageBus;
  readonly limits?: Partial<ParticipantLimits>;
  /** awaited once the database can be used and before the first branch, such as for the service's own migrations */
  readonly beforeConsuming?: () => Promise<void>;
  /**
   * how long `beforeConsuming` may take, in milliseconds; default 600,000. After that the participant never starts
   * (`BeforeConsumingTimeoutError` goes to `onFatal`), because the hook may still be at work
   */
  readonly beforeConsumingTimeoutMs?: number;
  /** told when the participant can never work as it is set up (`PostgresSetupError`, for example) */
  readonly onFatal?: (error: unknown) => void;
  readonly onAlert?: (alert: ParticipantAlert) => void;
  readonly logger?: Logger;
  readonly failpoints?: Failpoints;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Injects the options of the module. */
export const CONCORDAT_PARTICIPANT_OPTIONS = Symbol('CONCORDAT_PARTICIPANT_OPTIONS');
