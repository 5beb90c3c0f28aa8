export { GrpcTransport } from './grpc-transport.js';
export { TransportBindError } from './grpc-transport.types.js';
export type { GrpcTransportOptions, TransportCounters, TransportTls } from './grpc-transport.types.js';
