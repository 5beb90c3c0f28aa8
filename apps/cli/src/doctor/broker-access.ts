import { readVariables, silentLogger, type Environment } from '@concordat/foundation';
import {
  checkKafka,
  KAFKA_VARIABLES,
  kafkaSecurity,
  kafkaSecurityOptions,
  type BrokerAccess,
} from '@concordat/messaging';

export type BrokerAccessRead =
  | { readonly ok: true; readonly security: BrokerAccess }
  | { readonly ok: false; readonly problems: readonly { readonly sentence: string; readonly fix: string }[] };

/**
 * TLS and SASL to the brokers from the variables of a service, `KAFKA_TLS_CA` and so on. A service refuses to start with
 * what is a problem here.
 *
 * @param isTlsAsked by the command line, which counts more than `KAFKA_TLS`
 */
export function brokerAccess(environment: Environment, isTlsAsked: boolean): BrokerAccessRead {
  const given = isTlsAsked ? { ...environment, KAFKA_TLS: 'on' } : environment;
  const { values, problems } = readVariables(KAFKA_VARIABLES, given);
  checkKafka(values, given, problems);
  if (problems.length === 0) {
    type Values = Parameters<typeof kafkaSecurity>[0];
    return { ok: true, security: kafkaSecurityOptions(kafkaSecurity(values as Values), silentLogger, true) };
  }
  return {
    ok: false,
    problems: problems.map(({ variable, value, expected }) => ({
      sentence: value === undefined ? `${variable} is not set as it must be` : `${variable}="${value}" is wrong`,
      fix: `make it ${expected}`,
    })),
  };
}
