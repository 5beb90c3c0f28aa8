import { isIP } from 'node:net';
import { connect } from 'node:tls';
import {
  errorMessage,
  formatAddress,
  guarded,
  towardsCoordinator,
  type Address,
  type TlsFiles,
} from '@concordat/foundation';
import type { MemberRequest } from './cluster/cluster.api.js';
import { MemberNotVerifiedError } from './cluster/errors.js';

const TIMEOUT_MS = 3_000;

/** The certificates with which this node looks whether an address belongs to the cluster; undefined: plain text there. */
export interface MemberCheckTls {
  readonly raft: (() => TlsFiles) | undefined;
  readonly http: (() => TlsFiles) | undefined;
  readonly clusterName: string;
}

/**
 * Makes the check of a node that is to be added: where the nodes speak TLS, its addresses must answer with the
 * certificate of that node of this cluster. So nobody can make the group connect to anything else.
 *
 * @returns a function that throws MemberNotVerifiedError
 */
export function memberCheck({ raft, http, clusterName }: MemberCheckTls): (request: MemberRequest) => Promise<void> {
  return async (request) => {
    const addresses = [
      ['raftUrl', request.raft, raft, 'h2'],
      ['httpUrl', request.http, http, 'http/1.1'],
    ] as const;
    for (const [field, address, files, protocol] of addresses) {
      if (!files) continue;
      try {
        await shakeHands(address, files(), { clusterName, nodeId: request.nodeId, protocol });
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
