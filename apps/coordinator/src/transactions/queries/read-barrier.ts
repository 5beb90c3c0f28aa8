import type { Clock, Timer } from '@concordat/foundation';
import { LogUnavailableError, type DecisionLog } from '../../decision-log/decision-log.js';

/** How long a read waits for a leader to be known and to answer: several elections. */
const TIMEOUT_MS = 4_000;
/** Delay before a leader that refused, and is still the known one, is asked again. */
const RETRY_MS = 50;

/**
 * Makes a read of the log's state linearizable, on any node. When the leader is lost, it asks the next one as soon as
 * that is known.
 */
export class ReadBarrier {
  constructor(
    private readonly log: DecisionLog,
    private readonly clock: Clock,
  ) {}

  /**
   * Afterwards the state holds everything that was committed when the call began.
   *
   * @throws LogUnavailableError when no leader answered in time
   */
  pass(): Promise<void> {
    const { log, clock } = this;
    return new Promise((resolve, reject) => {
      let asking = false;
      let ended = false;
      let retry: Timer | undefined;
      const end = (how: () => void): void => {
        if (ended) return;
        ended = true;
        timeout.cancel();
        retry?.cancel();
        detach();
        how();
      };
      const refused = (error: Error): void => {
        if (!(error instanceof LogUnavailableError)) return end(() => reject(error));
        asking = false;
        if (!ended) retry = clock.setTimer(RETRY_MS, ask);
      };
      const ask = (): void => {
        if (asking || ended || log.leadership().leaderId === undefined) return;
        retry?.cancel();
        asking = true;
        log.readBarrier().then(() => end(resolve), refused);
      };
      const timeout = clock.setTimer(TIMEOUT_MS, () => {
        end(() =>
          reject(new LogUnavailableError('no-leader', 'no leader answered in time; an election may be under way')),
        );
      });
      const detach = log.onLeadership(ask);
      ask();
    });
  }
}
