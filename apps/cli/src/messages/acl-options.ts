import { isClusterName } from '@concordat/commit-protocol';
import { DEFAULT_TOPIC_PREFIX, isParticipantName, isTopicPrefix, TOPIC_PREFIX_RULE } from '@concordat/messaging';
import { UsageError } from '../usage-error.js';

/** Whose rights at the broker are printed. */
export interface AclOptions {
  readonly cluster: string;
  readonly topicPrefix: string;
  /** undefined: a coordinator */
  readonly participant: string | undefined;
  /** as the broker knows the process: `User:orders` */
  readonly principal: string;
}

export const ACL_OPTIONS = {
  cluster: { type: 'string' },
  prefix: { type: 'string' },
  participant: { type: 'string' },
  principal: { type: 'string' },
} as const;

interface Values {
  readonly cluster?: string | undefined;
  readonly prefix?: string | undefined;
  readonly participant?: string | undefined;
  readonly principal?: string | undefined;
}

export const KAFKA_HELP = `concordat kafka acls [options]

Prints the commands (kafka-acls.sh) that give one role its rights at the broker, and no more. Run them as an
administrator, once for coordinators and once for each participant, with BOOTSTRAP=host:port.

  --principal <name>     the process as the broker knows it (default User:concordat-coordinator, or
                         User:concordat-<participant>)
  --participant <name>   rights of this participant (default: those of a coordinator)
  --cluster <name>       CONCORDAT_CLUSTER (default local)
  --prefix <prefix>      CONCORDAT_TOPIC_PREFIX (default ${DEFAULT_TOPIC_PREFIX})
  --help                 print this text
`;

/** @throws UsageError */
export function parseAcls({
  cluster = 'local',
  prefix = DEFAULT_TOPIC_PREFIX,
  participant,
  principal,
}: Values): AclOptions {
  if (!isClusterName(cluster)) {
    throw new UsageError('--cluster must be lower-case letters, digits and hyphens, at most 63.');
  }
  if (!isTopicPrefix(prefix)) throw new UsageError(`--prefix must be ${TOPIC_PREFIX_RULE}.`);
  if (participant !== undefined && !isParticipantName(participant)) {
    throw new UsageError('--participant must be lower-case letters, digits and hyphens, at most 63.');
  }
  if (principal !== undefined && !/^[A-Za-z]+:[^\n\r]+$/.test(principal)) {
    throw new UsageError('--principal must be a principal of the broker: User:orders, or User:CN=orders,O=Shop.');
  }
  return {
    cluster,
    topicPrefix: prefix,
    participant,
    principal: principal ?? `User:concordat-${participant ?? 'coordinator'}`,
  };
}
