import { isIP } from 'node:net';
import { connect } from 'node:tls';
import {
  errorMessage,
  formatAddress,
  guarded,
  towardsCoordinator,
  type Address,
  type TlsFiles,
  type WatchedCertificates,
} from '@concordat/foundation';
import type { MemberRequest } from './cluster/cluster.api.js';
import { MemberNotVerifiedError } from './cluster/errors.js';
import type { Config } from './config.js';
import type { NodeCertificates } from './node-certificates.js';
import { HTTP_TLS_FILES, RAFT_TLS_FILES } from './tls-variables.js';

const TIMEOUT_MS = 3_000;

/** How it is looked at whether an address of a link belongs to the cluster. */
export interface MemberLink {
  /** the certificates of this node; undefined: nothing there shows who answers */
  readonly files: (() => TlsFiles) | undefined;
  /** the variables by which it would be shown */
  readonly remedy: string;
}

export interface MemberLinks {
  readonly raft: MemberLink;
  readonly http: MemberLink;
  readonly clusterName: string;
  /** whether addresses that show nothing are refused */
  readonly isProofNeeded: boolean;
}

type MemberCheckConfig = Pick<Config, 'raftTls' | 'tls' | 'auth' | 'plainLinks' | 'clusterName'>;

/** The links as a node is configured. Where it asks who is there, new members must show it, too. */
export function memberLinks(config: MemberCheckConfig, { raft, http }: NodeCertificates): MemberLinks {
  const { raftTls, tls, auth, plainLinks, clusterName } = config;
  // a node that is still asked in plain text may have no certificate yet
  const isRaftShown = raft !== undefined && raftTls?.mode !== 'accept';
  // without an authority of its own the cluster cannot tell its certificates from those of others
  const isHttpShown = http !== undefined && tls?.paths.ca !== undefined && tls.mode !== 'accept';
  return {
    raft: {
      files: isRaftShown ? () => filesOf(raft) : undefined,
      remedy: raftTls?.mode === 'accept' ? 'CONCORDAT_RAFT_TLS=prefer' : RAFT_TLS_FILES,
    },
    http: {
      files: isHttpShown ? () => filesOf(http) : undefined,
      remedy: tls?.mode === 'accept' ? 'CONCORDAT_TLS=prefer' : HTTP_TLS_FILES,
    },
    clusterName,
    isProofNeeded: auth !== undefined && plainLinks === 'refuse',
  };
}

function filesOf({ current: { ca = '', certificate, key } }: WatchedCertificates): TlsFiles {
  return { ca, cert: certificate, key };
}

/**
 * Makes the check of a node that is to be added: its addresses must answer with the certificate of that node of this
 * cluster. So nobody can make the group connect to anything else. What cannot be looked at is refused, or taken where no
 * proof is needed.
 *
 * @returns a function that throws MemberNotVerifiedError
 */
export function memberCheck(links: MemberLinks): (request: MemberRequest) => Promise<void> {
  const { raft, http, clusterName, isProofNeeded } = links;
  return async (request) => {
    const addresses = [
      { field: 'raftUrl', address: request.raft, link: raft, protocol: 'h2' },
      { field: 'httpUrl', address: request.http, link: http, protocol: 'http/1.1' },
    ] as const;
    // before anything is connected to
    for (const { field, address, link } of addresses) {
      if (link.files || !isProofNeeded) continue;
      throw new MemberNotVerifiedError(
        `${field}: nothing shows who answers at ${formatAddress(address)}; at all coordinators set ${link.remedy}, or ` +
          'CONCORDAT_PLAIN_LINKS=accept to believe anyone there',
      );
    }
    for (const { field, address, link, protocol } of addresses) {
      if (!link.files) continue;
      try {
        await shakeHands(address, link.files(), { clusterName, nodeId: request.nodeId, protocol });
      } catch (error) {
        throw new MemberNotVerifiedError(
          `${field}: ${formatAddress(address)} does not answer as node ${request.nodeId} of this cluster: ${errorMessage(error)}`,
          { cause: error },
        );
      }
    }
  };
}

interface Expected {
  readonly clusterName: string;
  readonly nodeId: number;
  readonly protocol: string;
}

function shakeHands({ host, port }: Address, files: TlsFiles, expected: Expected): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...towardsCoordinator(files, expected.clusterName, expected.nodeId),
      ...(isIP(host) === 0 && { servername: host }),
      host,
      port,
      ALPNProtocols: [expected.protocol],
    });
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error instanceof Error ? error : new Error(errorMessage(error)));
    };
    const timer = setTimeout(
      guarded(() => fail(new Error(`no answer within ${TIMEOUT_MS} ms`)), fail),
      TIMEOUT_MS,
    );
    socket.on('error', guarded(fail, reject));
    socket.once(
      'secureConnect',
      guarded(() => {
        clearTimeout(timer);
        socket.destroy();
        resolve();
      }, fail),
    );
  });
}
