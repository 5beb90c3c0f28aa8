import { formatAddress, type Address } from './address.js';
import { SystemClock } from './clock.js';
import { errorMessage } from './coded-error.js';
import { ArmableFailpoints } from './failpoints.js';
import { guarded } from './guarded.js';
import type { Logger } from './logger.js';

/** Exit codes of a service (from sysexits.h where it has one). */
export const EXIT = {
  stopped: 0,
  /** its address is taken, or it cannot continue */
  failed: 1,
  software: 70,
  configuration: 78,
} as const;

export interface ServiceProcess {
  readonly logger: Logger;
  /** ends the service in order */
  readonly close: () => Promise<void>;
  /** after this it exits in any case, in milliseconds */
  readonly stopLimitMs: number;
}

/**
 * Ends this process: in order on SIGTERM and SIGINT, at once on the second of them, and with `EXIT.software` on an error
 * that nobody has caught.
 */
export function endWithSignals({ logger, close, stopLimitMs }: ServiceProcess): void {
  const die = (error: unknown): void => {
    logger.error('an uncaught error ends the process', error);
    process.exit(EXIT.software);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
  let isStopping = false;
  const stop = (signal: string): void => {
    if (isStopping) process.exit(EXIT.stopped);
    isStopping = true;
    logger.info(`${signal}: stopping`);
    setTimeout(() => process.exit(EXIT.stopped), stopLimitMs).unref();
    close()
      .catch((error: unknown) => logger.error(`stopping failed: ${errorMessage(error)}`, error))
      .finally(() => process.exit(EXIT.stopped));
  };
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const guardedStop = guarded(() => stop(signal), die);
    process.on(signal, guardedStop);
  }
}

/** Why a service could not start, in a sentence. @param http its REST address, from `CONCORDAT_HTTP` */
export function startFailure(service: string, error: unknown, http: Address): string {
  const { code, syscall, port } = error as { code?: unknown; syscall?: unknown; port?: unknown };
  const address = formatAddress(http);
  const isHttp = syscall === 'listen' && port === http.port;
  if (isHttp && code === 'EADDRINUSE') {
    return `The address ${address} is taken by another process; end that one or set CONCORDAT_HTTP to another address.`;
  }
  if (isHttp && (code === 'EADDRNOTAVAIL' || code === 'EACCES')) {
    return `The address ${address} cannot be used on this machine (${code}); set CONCORDAT_HTTP to one that can.`;
  }
  return `The ${service} could not start: ${errorMessage(error)}`;
}

/** Codes of errors in settings and their files, which only a person can correct. */
const OF_CONFIGURATION: ReadonlySet<unknown> = new Set([
  'AUTHENTICATION_SETUP',
  'CERTIFICATE_UNUSABLE',
  'PARTICIPANT_CONFIGURATION',
  'RAFT_TRANSPORT_TLS_INVALID',
  'SIGNATURES_INVALID',
]);

/**
 * The exit code of a service that could not start: `EXIT.configuration` where another start fails in the same way until
 * somebody corrects its settings or a file that they name.
 */
export function startFailureCode(error: unknown): number {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return OF_CONFIGURATION.has(code) ? EXIT.configuration : EXIT.failed;
}

/** Failpoints that kill and pause this process. @throws FailpointSpecificationError */
export function failpointsOfProcess(known: readonly string[], armed: string): ArmableFailpoints {
  const failpoints = new ArmableFailpoints(known, new SystemClock(), {
    kill: () => void process.kill(process.pid, 'SIGKILL'),
    pause: () => void process.kill(process.pid, 'SIGSTOP'),
  });
  failpoints.arm(armed);
  return failpoints;
}
