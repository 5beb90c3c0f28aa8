import type { Logger } from '@concordat/foundation';
import type { RaftCore } from '../core/raft-core.js';

/** Detects and logs a full and a hung disk. */
export class DiskWatch {
  private wasHung = false;
  private reason: string | undefined;

  constructor(
    private readonly nodeId: number,
    private readonly logger: Logger,
  ) {}

  /** Why the disk counts as full; undefined when it does not. */
  get diskFullReason(): string | undefined {
    return this.reason;
  }

  /** @returns whether the disk has just become full */
  spaceChanged(reason: string | undefined): boolean {
    const isNew = reason !== undefined && this.reason === undefined;
    if (reason === undefined && this.reason !== undefined) this.logger.info('the disk has room again');
    if (isNew) this.logger.error(`proposals are refused: ${reason}`);
    this.reason = reason;
    return isNew;
  }

  /** Once per tick. @returns whether the disk has just begun to hang */
  look(core: RaftCore): boolean {
    const isHung = core.isDiskHung;
    if (isHung && !this.wasHung)
      this.logger.error(
        `raft node ${this.nodeId}: a write has not returned for several election timeouts; until the disk answers, ` +
          'the node neither leads nor stands for election',
      );
    if (!isHung && this.wasHung) this.logger.info(`raft node ${this.nodeId}: the disk answers again`);
    this.wasHung = isHung;
    return isHung;
  }
}
