import type { NodeCertificates } from '../node-certificates.js';
import type { Metrics } from './metrics.js';

/** When certificates end, and which connections were refused for theirs; nothing without TLS. */
export function watchCertificates(metrics: Metrics, certificates: NodeCertificates): void {
  if (certificates.all.length === 0) return;
  metrics.labelled(
    'concordat_certificate_expiry_seconds',
    'Seconds until a certificate of this node ends, by its use; negative when it has',
    'use',
    'gauge',
    () => certificates.all.map(({ use, expirySeconds }) => [use, expirySeconds] as const),
  );
  metrics.labelled(
    'concordat_tls_refused_connections_total',
    'Connections refused because of TLS or of a certificate, by use',
    'use',
    'counter',
    () => certificates.refusedConnections,
  );
}
