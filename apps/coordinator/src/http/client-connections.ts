import { openFilesLimit, RESERVED_FILES, streamLimit, type ConnectionNeeds } from '@concordat/foundation';
import type { Config } from '../config.js';

export type ClientConnectionsConfig = Pick<Config, 'maximumConnections'> & Partial<Pick<Config, 'link'>>;

/** The REST connections of a coordinator: they take no file from the log, the peers or the direct streams. */
export function clientConnections({ maximumConnections, link = 'kafka' }: ClientConnectionsConfig): ConnectionNeeds {
  const streams = link === 'kafka' ? 0 : streamLimit(openFilesLimit());
  return { wanted: maximumConnections, reservedFiles: RESERVED_FILES + streams };
}
