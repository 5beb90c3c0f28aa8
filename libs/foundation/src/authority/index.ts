/** Certificates for tests and for the local system, made on the spot. Not for production. */
export { LocalAuthority, type CertificateRequest, type IssuedCertificate } from './local-authority.js';
