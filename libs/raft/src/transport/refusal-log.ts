import type { Logger } from '@concordat/foundation';
import type { TransportRefusal } from './grpc-transport.types.js';

/** Each distinct refusal is logged once, up to this many: a stranger retries every second. */
const maximumLoggedRefusals = 100;

/** Logs refused connections and streams, once for each host and reason. */
export class RefusalLog {
  private readonly logged = new Set<string>();

  constructor(
    private readonly logger: Logger,
    /** told of each distinct refusal that is logged */
    private readonly onRefused: (refusal: TransportRefusal) => void = () => undefined,
  ) {}

  /**
   * @param what was refused, such as `a stream`
   * @param peer `host:port` of the caller, whose port changes with each attempt
   */
  refused(what: string, peer: string, reason: string): void {
    const key = `${what} ${peer.replace(/:\d+$/, '')} ${reason}`;
    if (this.logged.has(key) || this.logged.size >= maximumLoggedRefusals) return;
    this.logged.add(key);
    this.logger.warn(`refused ${what} from ${peer}: ${reason}`);
    this.onRefused({ what, peer, reason });
  }
}
