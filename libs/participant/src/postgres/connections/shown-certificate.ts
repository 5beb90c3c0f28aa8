import { CertificateError, WatchedCertificates, type Clock, type Logger } from '@concordat/foundation';
import type { PostgresConnectionSettings } from '../settings.js';
import { tlsOf } from './connection-config.js';

/**
 * Watches the certificate that the settings have the database server shown, so that its end is known before. Each
 * connection reads the files itself, and says what is wrong with them.
 *
 * @returns undefined without one, or when its end cannot be known
 */
export function watchShownCertificate(
  settings: PostgresConnectionSettings,
  clock: Pick<Clock, 'now'>,
  logger: Logger,
): WatchedCertificates | undefined {
  const shown = tlsOf(settings);
  const { certificate, key } = typeof shown === 'object' ? shown : {};
  if (certificate === undefined || key === undefined) return undefined;
  try {
    return new WatchedCertificates({ use: 'postgres', paths: { certificate, key }, logger, now: () => clock.now() });
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    logger.warn(`the certificate for the database is not watched: ${error.message}`);
    return undefined;
  }
}
