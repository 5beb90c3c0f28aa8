import type { Clock, Logger, Random, TlsOption } from '@concordat/foundation';
import {
  BothRoads,
  DirectParticipantBus,
  dialerOverTcp,
  createSignatures,
  KafkaMessageBus,
  type KafkaMessageBusOptions,
  type LinkToken,
  type MessageBus,
  type NamespaceOptions,
  type SignatureSettings,
} from '@concordat/messaging';

/** The participant's values for the factory of its bus. */
export interface BusContext extends NamespaceOptions {
  readonly participant: string;
  readonly instance?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Makes the bus of a participant, for the option `bus`. */
export type BusFactory = (context: BusContext) => MessageBus;

/** Settings of the Kafka bus; cluster and prefix are those of the participant. */
export interface KafkaBusOptions extends Omit<KafkaMessageBusOptions, keyof NamespaceOptions | 'signatures' | 'role'> {
  /** signs messages and checks those of others; the coordinators' `CONCORDAT_SIGNATURES` fits; default: off */
  readonly signatures?: SignatureSettings;
}

export interface DirectBusOptions {
  /** REST URLs of coordinators, such as `http://127.0.0.1:8081`; one is enough, it names the others */
  readonly coordinators: readonly string[];
  /** shows them who asks for their addresses, where they want to know; a function is asked for each request */
  readonly token?: LinkToken;
  /**
   * the certificates of this service, where the coordinators speak TLS; `tlsFiles` reads them from files. The own one
   * must name the participant, those of the coordinators a node of the cluster
   */
  readonly tls?: TlsOption;
}

/** Messages over Apache Kafka; the coordinators run with `CONCORDAT_LINK=kafka` or `both`. */
export function kafkaBus(options: KafkaBusOptions): BusFactory {
  return (context) => createKafkaBus(options, context);
}

function createKafkaBus({ signatures: settings, ...options }: KafkaBusOptions, context: BusContext): KafkaMessageBus {
  const { cluster, topicPrefix, participant, clock, logger } = context;
  const signatures = createSignatures(settings, { cluster, sender: `participant:${participant}`, clock, logger });
  return new KafkaMessageBus({
    logger,
    ...options,
    cluster,
    role: `participant:${participant}`,
    ...(topicPrefix !== undefined && { topicPrefix }),
    ...(signatures && { signatures }),
  });
}

/** Messages over streams to the coordinators, without a broker; they run with `CONCORDAT_LINK=direct` or `both`. */
export function directBus({ coordinators, token, tls }: DirectBusOptions): BusFactory {
  return (context) =>
    new DirectParticipantBus({ ...context, coordinators, dial: dialerOverTcp(token, linkTls(tls, context)) });
}

/** An open stream, otherwise Kafka; the coordinators run with `CONCORDAT_LINK=both`. */
export function bothBuses({ coordinators, token, tls, ...kafka }: KafkaBusOptions & DirectBusOptions): BusFactory {
  return (context) => {
    const dial = dialerOverTcp(token, linkTls(tls, context));
    const direct = new DirectParticipantBus({ ...context, coordinators, dial });
    return new BothRoads(direct, createKafkaBus(kafka, context), context.logger);
  };
}

function linkTls(tls: TlsOption | undefined, { cluster }: BusContext) {
  return tls && { tls, cluster };
}
