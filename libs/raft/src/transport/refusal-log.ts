import type { Logger } from '@concordat/foundation';
import type { TransportRefusal } from './grpc-transport.types.js';

/** Each distinct refusal is logged once, up to this many: a stranger retries every second. */
const maximumLoggedRefusals = 100;

/**
 * Logs refused connections and streams, once for each host and reason. Its listener is told of every one: whoever can
 * choose his reason, as by the name of a cluster, could otherwise use the bound up, and be heard of no more.
 */
export class RefusalLog {
  private readonly logged = new Set<string>();

  constructor(
    private readonly logger: Logger,
    private readonly onRefused: (refusal: TransportRefusal) => void = () => undefined,
  ) {}

  /**
   * @param what was refused, such as `a stream`
   * @param peer `host:port` of the caller, whose port changes with each attempt
   */
  refused(what: string, peer: string, reason: string): void {
    this.onRefused({ what, peer, reason });
    const key = `${what} ${peer.replace(/:\d+$/, '')} ${reason}`;
    if (this.logged.has(key) || this.logged.size >= maximumLoggedRefusals) return;
    this.logged.add(key);
    this.logger.warn(`refused ${what} from ${peer}: ${reason}`);
  }
}
