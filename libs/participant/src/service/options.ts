import type { Clock, Failpoints, Logger, Random, TlsOption, Tracing } from '@concordat/foundation';
import type { PayloadCodec, Token } from '@concordat/client';
import { ParticipantConfigurationError } from '../runtime/errors.js';
import type { BusFactory } from './buses.js';
import type { PostgresResourceManagerSettings } from '../postgres/index.js';
import type { ParticipantAlert, ParticipantLimits } from '../runtime/participant-runtime.types.js';

/** The options of a participant's service; for defaults see `ParticipantLimits` and `PostgresResourceManagerSettings`. */
export interface ParticipantServiceOptions {
  /** the participant's name: lower-case letters, digits and hyphens, at most 63 */
  readonly participant: string;
  /** the coordinators' cluster, part of every gid, topic, group and message; default `local` */
  readonly cluster?: string;
  /** prefix of the names of topics and groups, the same as at the coordinators; default `concordat` */
  readonly topicPrefix?: string;
  /**
   * names this process: unique among the participant's live ones, and the same after a restart. Default: a new name at
   * each start; then a killed process counts as live for another half minute
   */
  readonly instance?: string;
  readonly postgres: Omit<PostgresResourceManagerSettings, 'cluster' | 'participant'>;
  /** the road to the coordinators: `kafkaBus`, `directBus` or `bothBuses`; it is started and stopped with the participant */
  readonly bus: BusFactory;
  /**
   * REST URLs of the coordinators, for the checks at the start: whether they are of this cluster, their link, their
   * clocks. Default: they are not checked
   */
  readonly coordinators?: readonly string[];
  /** shows them who asks, where they want to know: an API token or a JWT, or a function that is asked for each request */
  readonly token?: Token;
  /** certificates for the same questions, where the coordinators speak TLS with an authority of their own */
  readonly tls?: TlsOption;
  /** the road that `bus` takes, for the same checks; default: their link is not checked */
  readonly link?: 'direct' | 'kafka' | 'both';
  /**
   * decode the payloads of operations before their handlers run, and encode their results; all decode, the first one
   * encodes. The clients need the same (`payloadCodecs` of `ConcordatClient`). Default: none
   */
  readonly payloadCodecs?: readonly PayloadCodec[];
  readonly limits?: Partial<ParticipantLimits>;
  /** awaited when the database can be used and before the first branch, for the service's own migrations, say */
  readonly beforeConsuming?: () => Promise<void>;
  /**
   * maximum duration of `beforeConsuming`, in milliseconds; default 600,000. After it the participant never starts
   * (`BeforeConsumingTimeoutError` goes to `onFatal`), because the hook may still be running
   */
  readonly beforeConsumingTimeoutMs?: number;
  /** called when the participant can never work with this set-up (`PostgresSetupError`, for example) */
  readonly onFatal?: (error: unknown) => void;
  readonly onAlert?: (alert: ParticipantAlert) => void;
  readonly logger?: Logger;
  /** `openTelemetry()` of `@concordat/nestjs/opentelemetry`; default: no spans */
  readonly tracing?: Tracing;
  readonly failpoints?: Failpoints;
  readonly clock?: Clock;
  readonly random?: Random;
}

const OPTION_NAMES: Readonly<Record<keyof ParticipantServiceOptions, true>> = {
  participant: true,
  cluster: true,
  topicPrefix: true,
  instance: true,
  postgres: true,
  bus: true,
  coordinators: true,
  token: true,
  tls: true,
  link: true,
  payloadCodecs: true,
  limits: true,
  beforeConsuming: true,
  beforeConsumingTimeoutMs: true,
  onFatal: true,
  onAlert: true,
  logger: true,
  tracing: true,
  failpoints: true,
  clock: true,
  random: true,
};

/**
 * @param where begins the sentence
 * @throws ParticipantConfigurationError for an option that does not exist, and for one that is missing
 */
export function checkParticipantServiceOptions(options: ParticipantServiceOptions, where: string): void {
  const refuse = (sentence: string): never => {
    throw new ParticipantConfigurationError(`${where}: ${sentence}`);
  };
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTION_NAMES, name));
  if (unknown !== undefined) {
    refuse(`there is no option "${unknown}"; use ${Object.keys(OPTION_NAMES).join(', ')}`);
  }
  const { participant, postgres, bus } = options as Partial<ParticipantServiceOptions>;
  if (participant === undefined)
    refuse('participant is missing; give the service a name, such as participant: "bank-a"');
  if (typeof postgres !== 'object' || postgres === null) {
    refuse('postgres is missing; give { connectionString: "postgres://…" } or { connection: { host, … } }');
  }
  if (typeof bus !== 'function') {
    refuse('bus is missing; give directBus({ coordinators: […] }), kafkaBus({ brokers: […], clientId }) or bothBuses');
  }
}
