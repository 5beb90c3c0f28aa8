import { EXIT, errorMessage, type Logger } from '@concordat/foundation';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { RequestGate } from './http/request-gate.js';
import { EventStreams } from './http/event-streams.js';

/** How long running requests may take. */
const DRAIN_MS = 4_000;
/** After this the process exits in any case: the log makes every state recoverable. */
const STOP_MS = 9_000;

export type Closable = Pick<NestFastifyApplication, 'get' | 'close'>;

export interface ProcessPort {
  exit(code: number): void;
}

/**
 * Stops a coordinator in order: refuse new requests and report it under `/readyz`, end event streams, let running
 * requests finish, close the modules (a leader transfers its leadership), exit.
 *
 * running → `stop()` → stopping → exit. A second `stop()` exits at once; so does a timeout.
 */
export class Lifecycle {
  private app: Closable | undefined;
  private stopping = false;

  constructor(
    private readonly logger: Logger,
    private readonly host: ProcessPort,
  ) {}

  /** Call it as soon as the application exists. */
  started(app: Closable): void {
    this.app = app;
  }

  /** @param reason for the log, such as the name of a signal */
  stop(reason: string): void {
    if (this.stopping) {
      this.logger.warn(`${reason}: exiting at once`);
      this.host.exit(EXIT.stopped);
      return;
    }
    this.stopping = true;
    this.logger.info(`${reason}: stopping`);
    const timer = setTimeout(() => {
      this.logger.warn(
        `the shutdown took longer than ${STOP_MS / 1000} s; the next leader recovers open transactions from the log`,
      );
      this.host.exit(EXIT.stopped);
    }, STOP_MS);
    this.close()
      .then(
        () => this.logger.info('stopped'),
        (error: unknown) => this.logger.error(`stopping failed: ${errorMessage(error)}`, error),
      )
      .finally(() => {
        clearTimeout(timer);
        this.host.exit(EXIT.stopped);
      });
  }

  private async close(): Promise<void> {
    if (!this.app) return;
    const gate = this.app.get(RequestGate, { strict: false });
    gate.close();
    this.app.get(EventStreams, { strict: false }).closeAll();
    const drained = await gate.drained(DRAIN_MS);
    if (!drained) this.logger.warn(`${gate.runningCount} running requests are cut off`);
    await this.app.close();
  }
}
