import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { TlsFilePaths } from '@concordat/foundation';
import { BANKS, SHOP_SERVICES, type Link } from '../ports.js';
import { LocalCertificates, nodeOwner, participantOwner, serviceOwner, type CertificateOwner } from './certificates.js';
import { LocalContextKeys } from './context-keys.js';
import { JWT_AUDIENCE, JWT_ISSUER, LocalCredentials } from './credentials.js';
import { LocalServers } from './servers.js';
import { LocalSigningKeys, type Sender } from './signing-keys.js';
import { SecretFiles } from './secret-files.js';

export const SECURITY_FOLDER = 'security';
const NODE_IDS = [1, 2, 3, 4] as const;
const SERVICES = [...BANKS, ...SHOP_SERVICES] as const;
/** A participant that never runs: the lab speaks for it. */
export const LAB_PARTICIPANT = 'lab-visitor';
const SENDERS: readonly Sender[] = [
  'coordinator',
  ...[...SERVICES, LAB_PARTICIPANT].map((name) => `participant:${name}` as const),
];
const COORDINATORS_USER = 'coordinator';
/** Users of the broker. */
const USERS: readonly string[] = [COORDINATORS_USER, ...SERVICES];

type Variables = Readonly<Record<string, string>>;

/**
 * Everything that a secured local system has beside its data, in the folder `security` of its directory: authorities,
 * certificates, tokens, keys and passwords. The processes read the files again when they change, so a scenario can
 * replace all of it under load.
 */
export class LocalSecurity {
  /** of coordinators, participants and clients */
  readonly certificates: LocalCertificates;
  /** API tokens, and JWTs */
  readonly credentials: LocalCredentials;
  /** of messages over Kafka */
  readonly signingKeys: LocalSigningKeys;
  /** of calls between services */
  readonly contextKeys: LocalContextKeys;
  /** of the broker and the databases */
  readonly servers: LocalServers;
  private readonly files: SecretFiles;

  private constructor(
    readonly directory: string,
    private readonly clusterName: string,
  ) {
    this.files = new SecretFiles(directory);
    this.certificates = new LocalCertificates(this.files, clusterName);
    this.credentials = new LocalCredentials(this.files);
    this.signingKeys = new LocalSigningKeys(this.files);
    this.contextKeys = new LocalContextKeys(this.files);
    this.servers = new LocalServers(this.files);
  }

  /** That of the system in a directory, whose start has made it. */
  static of(systemDirectory: string, clusterName: string): LocalSecurity {
    return new LocalSecurity(path.join(systemDirectory, SECURITY_FOLDER), clusterName);
  }

  /** Whether the system in a directory was started with security. */
  static isIn(systemDirectory: string): boolean {
    return existsSync(path.join(systemDirectory, SECURITY_FOLDER));
  }

  /** The same authority, tokens and keys, with certificates for another cluster. */
  forCluster(clusterName: string): LocalSecurity {
    return new LocalSecurity(this.directory, clusterName);
  }

  /** Makes what does not exist yet, and certificates that nobody trusts any more; the rest stays. */
  ensure(): void {
    const services = [...BANKS.map(participantOwner), ...SHOP_SERVICES.map(serviceOwner)];
    this.certificates.ensure([...NODE_IDS.map(nodeOwner), ...services]);
    this.credentials.ensure();
    this.signingKeys.ensure(SENDERS);
    this.servers.ensure(USERS);
    this.contextKeys.ensure();
  }

  /** For the lab's own calls. */
  get access(): { readonly ca: string; readonly token: string } {
    return { ca: readFileSync(this.certificates.caFile, 'utf8'), token: this.credentials.token('lab') };
  }

  /** Lines for the configuration of the broker. */
  brokerProperties(): string {
    return this.servers.brokerProperties(USERS);
  }

  /** Whatever a coordinator needs. @param auditFile where it writes its audit */
  coordinatorVariables(nodeId: number, link: Link, auditFile: string): Variables {
    const { ca, certificate, key } = this.certificates.paths(nodeOwner(nodeId));
    return {
      CONCORDAT_RAFT_TLS_CA: ca,
      CONCORDAT_RAFT_TLS_CERT: certificate,
      CONCORDAT_RAFT_TLS_KEY: key,
      CONCORDAT_HTTP_TLS_CA: ca,
      CONCORDAT_HTTP_TLS_CERT: certificate,
      CONCORDAT_HTTP_TLS_KEY: key,
      CONCORDAT_REVOKED_FILE: this.certificates.revokedFile,
      CONCORDAT_AUTH: 'required',
      CONCORDAT_AUTH_TOKEN_FILE: this.credentials.tokenFile,
      CONCORDAT_AUTH_KEY_FILE: this.credentials.jwtKeyFile,
      CONCORDAT_AUTH_ISSUER: JWT_ISSUER,
      CONCORDAT_AUTH_AUDIENCE: JWT_AUDIENCE,
      CONCORDAT_INVITATIONS: 'require',
      CONCORDAT_AUDIT_FILE: auditFile,
      ...this.messageVariables('coordinator', COORDINATORS_USER, link),
    };
  }

  /** Whatever a bank or a service of the shop needs. */
  serviceVariables(name: (typeof SERVICES)[number], link: Link): Variables {
    const { ca, certificate, key } = this.certificatesOf(name);
    return {
      CONCORDAT_CLIENT_TLS_CA: ca,
      CONCORDAT_CLIENT_TLS_CERT: certificate,
      CONCORDAT_CLIENT_TLS_KEY: key,
      CONCORDAT_CONTEXT_KEY: '', // one of the user's environment would contradict the file
      CONCORDAT_CONTEXT_KEY_FILE: this.contextKeys.file,
      ...this.messageVariables(`participant:${name}`, name, link),
    };
  }

  /** Of a bank or a service of the shop. */
  certificatesOf(name: (typeof SERVICES)[number]): TlsFilePaths {
    return this.certificates.paths(this.ownerOf(name));
  }

  ownerOf(name: (typeof SERVICES)[number]): CertificateOwner {
    return SHOP_SERVICES.some((service) => service === name) ? serviceOwner(name) : participantOwner(name);
  }

  private messageVariables(sender: Sender, user: string, link: Link): Variables {
    if (link === 'direct') return {}; // no message goes over Kafka
    const isGiven = (process.env['KAFKA_BROKERS'] ?? '') !== '';
    return {
      CONCORDAT_SIGNATURES: 'require',
      CONCORDAT_SIGNING_KEY_FILE: this.signingKeys.signingKeyFile(sender),
      CONCORDAT_TRUSTED_KEYS_FILE: this.signingKeys.trustedKeysFile,
      ...(isGiven ? {} : this.brokerVariables(user)), // a broker that was given has its own variables
    };
  }

  private brokerVariables(user: string): Variables {
    return {
      KAFKA_TLS_CA: this.servers.caFile,
      KAFKA_SASL_MECHANISM: 'plain',
      KAFKA_SASL_USERNAME: user,
      KAFKA_SASL_PASSWORD_FILE: this.servers.passwordFile(user),
    };
  }
}
