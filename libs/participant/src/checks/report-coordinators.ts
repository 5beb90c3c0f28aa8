import type { Clock, Logger } from '@concordat/foundation';
import { describeFinding, runChecks } from './check.js';
import { COORDINATOR_CHECKS, groupFinding, type CoordinatorCheckContext } from './coordinator-checks.js';
import { readCoordinator } from './coordinator-facts.js';

export interface ReportDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** shows the coordinators who asks, where they want to know */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** default: the platform's */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/**
 * Logs what the checks of these coordinators find. One that does not answer is not reported, because the bus does that:
 * returned are the URLs of those, to be asked again.
 */
export async function reportCoordinators(
  urls: readonly string[],
  subject: Omit<CoordinatorCheckContext, 'facts'>,
  { clock, logger, token, fetch }: ReportDependencies,
): Promise<readonly string[]> {
  const all = await Promise.all(urls.map((url) => readCoordinator(url, clock, token, fetch)));
  const answered = all.filter(({ problem }) => problem === undefined);
  const reports = answered.flatMap((facts) => runChecks(COORDINATOR_CHECKS, { ...subject, facts }));
  const group = groupFinding(answered);
  for (const { name, ...finding } of [...reports, ...(group ? [{ name: 'group', ...group }] : [])]) {
    if (finding.status === 'failure') logger.error(`check ${name}: ${describeFinding(finding)}`);
    if (finding.status === 'warning') logger.warn(`check ${name}: ${describeFinding(finding)}`);
  }
  return all.filter(({ problem }) => problem !== undefined).map(({ url }) => url);
}
