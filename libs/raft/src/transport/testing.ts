/** Certificates for tests of whatever is built on `GrpcTransport` with TLS. */
export { TestAuthority } from './testing/test-authority.js';
export type { TestCertificateOptions } from './testing/test-authority.js';
