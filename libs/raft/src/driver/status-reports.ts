import type { Logger } from '@concordat/foundation';
import type { Standing } from '../core/membership/standing.js';
import type { NodeId } from '../core/types.js';
import { nodeStatus, statusSummary, type StatusSources } from './node-status.js';
import type { RaftStatus } from './raft-node.types.js';

/** Reports a node's status: each change to the listeners, and obstacles to the log. */
export class StatusReports {
  private readonly listeners = new Set<(status: RaftStatus) => void>();
  private reportedSummary = '';
  private reportedObstacle: string | undefined;
  private readonly reportedStrangers = new Set<NodeId>();

  constructor(
    private readonly nodeId: NodeId,
    private readonly logger: Logger,
    private readonly sources: () => StatusSources,
  ) {}

  status(): RaftStatus {
    return nodeStatus(this.sources());
  }

  /** @returns the function that unsubscribes */
  onChange(listener: (status: RaftStatus) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Calls the listeners if the status has changed; not before there is a core. */
  notify(): void {
    if (this.listeners.size === 0) return;
    const sources = this.sources();
    if (!sources.core) return;
    const summary = statusSummary(sources);
    if (summary === this.reportedSummary) return;
    this.reportedSummary = summary;
    const status = nodeStatus(sources);
    for (const listener of this.listeners) {
      try {
        listener(status);
      } catch (error) {
        this.logger.error('a status listener threw', error);
      }
    }
  }

  reportStanding({ kind, obstacle, strangers }: Standing): void {
    const { nodeId } = this;
    for (const stranger of strangers) {
      if (this.reportedStrangers.has(stranger)) continue;
      this.reportedStrangers.add(stranger);
      this.logger.warn(
        `raft node ${nodeId} ignores messages of node ${stranger}: it belongs to another group with the same name`,
      );
    }
    if (obstacle === this.reportedObstacle) return;
    this.reportedObstacle = obstacle;
    if (obstacle === undefined) this.logger.info(`raft node ${nodeId} is a member of its group`);
    else if (kind === 'founding' || kind === 'joining') this.logger.info(`raft node ${nodeId} waits: ${obstacle}`);
    else this.logger.warn(`raft node ${nodeId} cannot serve: ${obstacle}`);
  }
}
