import type { Logger } from '@concordat/foundation';

/** Different refusals are logged once each, up to this many: a stranger tries again every second. */
const maximumLoggedRefusals = 100;

/** Tells the operator whom this node turned away, once for each host and reason. */
export class RefusalLog {
  private readonly logged = new Set<string>();

  constructor(private readonly logger: Logger) {}

  /**
   * @param what was refused, such as `a stream`
   * @param peer `host:port` of the caller, whose port changes with each attempt
   */
  refused(what: string, peer: string, reason: string): void {
    const key = `${what} ${peer.replace(/:\d+$/, '')} ${reason}`;
    if (this.logged.has(key) || this.logged.size >= maximumLoggedRefusals) return;
    this.logged.add(key);
    this.logger.warn(`refused ${what} from ${peer}: ${reason}`);
  }
}
