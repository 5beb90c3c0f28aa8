import type { NodeId } from '@concordat/raft';
import { TestAuthority } from '@concordat/raft/testing';
import type { MemberTls } from './process-protocol.js';

/** Of nodes 1 to 3, by an authority that is forgotten at once. */
export function testCertificates(clusterName: string): MemberTls[] {
  const authority = TestAuthority.create();
  return [1, 2, 3].map((nodeId: NodeId) => {
    const { ca, cert, key } = authority.issue({ clusterName, nodeId });
    return { ca: ca.toString(), cert: cert.toString(), key: key.toString() };
  });
}
