import { randomBytes } from 'node:crypto';
import { LocalAuthority } from '@concordat/foundation/authority';
import type { SecretFiles } from './secret-files.js';

const [CA, CA_KEY] = ['servers/ca.pem', 'servers/ca.key'] as const;
const KAFKA_STORE = 'servers/kafka.pem';
/** The broker as its own client, and the lab, which may do everything. */
export const BROKER_USER = 'broker';
export const LAB_USER = 'lab';

/**
 * What the broker and the database servers of a secured system need. They have an authority of their own, as they would
 * in production: it says nothing about who may be a coordinator or a participant.
 */
export class LocalServers {
  constructor(private readonly files: SecretFiles) {}

  /** Makes what does not exist yet. @param users who may call the broker, beside the broker itself and the lab */
  ensure(users: readonly string[]): void {
    if (!this.files.has(CA)) {
      const authority = LocalAuthority.create(`Concordat local servers ${randomBytes(4).toString('hex')}`);
      this.files.write(CA_KEY, authority.key);
      this.files.write(CA, authority.certificate);
    }
    this.files.ensure(KAFKA_STORE, () => {
      const { cert, key } = this.issue('kafka');
      return Buffer.concat([key, cert]);
    });
    for (const user of [BROKER_USER, LAB_USER, ...users]) {
      this.files.ensure(passwordOf(user), () => randomBytes(24).toString('base64url'));
    }
  }

  /** The authority of broker and databases. */
  get caFile(): string {
    return this.files.path(CA);
  }

  /** A server's certificate and key: it answers as `localhost` and 127.0.0.1. */
  issue(subject: string): { readonly cert: Buffer; readonly key: Buffer } {
    return LocalAuthority.restore(this.files.read(CA), this.files.read(CA_KEY)).issue({ subject });
  }

  /** The secret of a user of the broker, in a file. */
  passwordFile(user: string): string {
    return this.files.path(passwordOf(user));
  }

  password(user: string): string {
    return this.files.text(passwordOf(user));
  }

  /** The password of a role of the database servers; made when it is first asked for. */
  databasePassword(role: string): string {
    const name = `postgres/${role}`;
    this.files.ensure(name, () => randomBytes(24).toString('base64url'));
    return this.files.text(name);
  }

  /** How the lab itself calls the broker: options of kafkajs. */
  brokerAccess(): {
    readonly ssl: { readonly ca: string };
    readonly sasl: { readonly mechanism: 'plain'; readonly username: string; readonly password: string };
  } {
    const sasl = { mechanism: 'plain', username: LAB_USER, password: this.password(LAB_USER) } as const;
    return { ssl: { ca: this.files.text(CA) }, sasl };
  }

  /** Lines for the configuration of the broker, with passwords in them. @param users as for `ensure` */
  brokerProperties(users: readonly string[]): string {
    const known = [BROKER_USER, LAB_USER, ...users].map((user) => `user_${user}="${this.password(user)}"`);
    const own = `username="${BROKER_USER}" password="${this.password(BROKER_USER)}"`;
    const login = `org.apache.kafka.common.security.plain.PlainLoginModule required ${[own, ...known].join(' ')};`;
    return [
      'ssl.keystore.type=PEM',
      `ssl.keystore.location=${this.files.path(KAFKA_STORE)}`,
      'ssl.truststore.type=PEM',
      `ssl.truststore.location=${this.caFile}`,
      'ssl.enabled.protocols=TLSv1.2,TLSv1.3',
      'listener.name.controller.ssl.client.auth=required',
      'sasl.enabled.mechanisms=PLAIN',
      'sasl.mechanism.inter.broker.protocol=PLAIN',
      `listener.name.broker.plain.sasl.jaas.config=${login}`,
    ].join('\n');
  }
}

const passwordOf = (user: string): string => `kafka/${user}`;
