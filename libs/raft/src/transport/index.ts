export { GrpcTransport } from './grpc-transport.js';
export { TransportBindError, TransportTlsError } from './grpc-transport.types.js';
export type {
  GrpcTransportOptions,
  TransportCounters,
  TransportRefusal,
  TransportTls,
  TransportTlsMode,
} from './grpc-transport.types.js';
export type { PeerClockReading } from './peer-counters.js';
export { nodeCertificateUri } from './node-certificate.js';
export type { ClusterNode } from './node-certificate.js';
