import { CertificateError, WatchedCertificates, type Clock, type Logger } from '@concordat/foundation';

/**
 * Watches the certificate that a connection string has the database server shown (`sslcert` and `sslkey`), so that its
 * end is known before. `pg` itself reads the files, and says what is wrong with them.
 *
 * @returns undefined without one, or when its end cannot be known
 */
export function watchShownCertificate(
  connectionString: string,
  clock: Pick<Clock, 'now'>,
  logger: Logger,
): WatchedCertificates | undefined {
  const { searchParams } = URL.canParse(connectionString) ? new URL(connectionString) : new URL('postgres:');
  const [certificate, key] = [searchParams.get('sslcert'), searchParams.get('sslkey')];
  if (certificate === null || key === null) return undefined;
  try {
    return new WatchedCertificates({ use: 'postgres', paths: { certificate, key }, logger, now: () => clock.now() });
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    logger.warn(`the certificate for the database is not watched: ${error.message}`);
    return undefined;
  }
}
