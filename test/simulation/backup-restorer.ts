import { randomChance, randomInteger, randomItem, UuidV7Generator, type SeededRandom } from '@concordat/foundation';
import { formatGid, type Decision } from '@concordat/commit-protocol';
import { CLUSTER } from './cluster.js';
import type { ModelledDatabase } from '../support/modelled-database/modelled-database.js';
import type { World } from './world.js';

const MAXIMUM_LOOKS = 40;
const ANCIENT_MS = 3_600_000;
/** Transactions that an earlier group leaves behind, at most. */
const MAXIMUM_LEFT = 3;

/**
 * Restores databases from backups. Only at moments at which nothing is lost that anybody was promised, so that all
 * rules go on holding: what comes back are prepared branches whose end is undone, and must be done again. And, as out
 * of a backup of long ago, branches that are older than what the coordinators remember: those are the operator's.
 */
export class BackupRestorer {
  readonly counts = { restored: 0, ancient: 0, earlier: 0, carriedOut: 0 };
  private ancient = 0;

  /** @param later does something after a while unless everything was healed before */
  constructor(
    private readonly world: World,
    private readonly random: SeededRandom,
    private readonly later: (minimumMs: number, maximumMs: number, action: () => void) => void,
  ) {}

  inject(): void {
    const database = randomItem(this.random, this.world.databases);
    if (randomChance(this.random, 0.3)) this.bringBackAncient(database);
    else if (!database.isBackedUp && database.isUp) {
      database.backUp();
      this.watch(database, MAXIMUM_LOOKS);
    }
  }

  /** Waits for a moment at which the backup can be restored. */
  private watch(database: ModelledDatabase, looks: number): void {
    const [shortest] = this.world.pace.faultIntervalMs;
    const delayMs = randomInteger(this.random, shortest / 10, shortest);
    this.world.clock.setTimer(delayMs, () => {
      const ended = database.endedSinceBackup();
      const exempt = ended.some(({ branchId }) => this.world.checker.exemptions.hasBranch(branchId));
      if (ended.length > 0 && !exempt && randomChance(this.random, 0.5)) return this.restore(database);
      if (looks > 0 && database.isBackedUp) this.watch(database, looks - 1);
    });
  }

  private restore(database: ModelledDatabase): void {
    const { world } = this;
    this.counts.restored++;
    world.trace.event(`${database.name} is restored from a backup`);
    database.crash();
    database.restore();
    // Whoever restores a database may leave its services running, or not.
    const restarts = randomChance(this.random, 0.5);
    const services = restarts ? world.participants.filter((node) => node.database === database) : [];
    for (const service of services) service.crash();
    this.later(10, 500, () => {
      database.restart();
      for (const service of services) if (!service.process) service.boot();
    });
  }

  private bringBackAncient(database: ModelledDatabase): void {
    const { world } = this;
    if (!world.checker.retention.hasExpired || !database.isUp) return;
    const ids = new UuidV7Generator(() => world.checker.retention.watermark - ANCIENT_MS, this.random);
    const decision = randomChance(this.random, 0.5) ? 'commit' : 'abort';
    this.bringBack(database, { transactionId: ids.next(), branchId: ids.next(), decision });
  }

  /**
   * Transactions of an earlier group that lost its data a moment or an hour before this one is born. At least one branch
   * of each is still prepared; its siblings may have ended by the decision, which nobody remembers any more. As much as
   * anybody else's that is old, they are the operator's.
   */
  leaveByEarlierGroup(): void {
    const { random, world } = this;
    const agoMs = randomItem(random, [1, 1_000, ANCIENT_MS]);
    for (let left = randomInteger(random, 1, MAXIMUM_LEFT); left > 0; left--) {
      this.counts.earlier++;
      this.leave(world.clock.now() - agoMs, randomChance(random, 0.5) ? 'commit' : 'abort');
    }
  }

  private leave(begunAt: number, decision: Decision): void {
    const { random, world } = this;
    const ids = new UuidV7Generator(() => begunAt, random);
    const transactionId = ids.next();
    const count = randomInteger(random, 1, world.databases.length);
    const first = randomInteger(random, 0, world.databases.length - 1);
    for (let place = 0; place < count; place++) {
      const database = world.databases[(first + place) % world.databases.length]!;
      const gid = this.bringBack(database, { transactionId, branchId: ids.next(), decision });
      if (place === 0 || gid === undefined || randomChance(random, 0.4)) continue;
      this.counts.carriedOut++;
      if (decision === 'commit') database.commitPrepared(gid);
      else database.rollbackPrepared(gid);
    }
  }

  /** @returns its gid, when it is prepared now */
  private bringBack(
    database: ModelledDatabase,
    branch: { readonly transactionId: string; readonly branchId: string; readonly decision: Decision },
  ): string | undefined {
    const { random, world } = this;
    const account = randomItem(random, [...database.balances.keys()]);
    const movement = { intent: `ancient-${++this.ancient}`, account, amount: randomInteger(random, 1, 9) };
    const known = { ...branch, participant: database.name, movement };
    const gid = formatGid(CLUSTER, branch.transactionId, branch.branchId);
    if (!database.bringBack(gid, known)) return undefined;
    this.counts.ancient++;
    world.checker.remembers(known);
    world.trace.event(`${database.name} brings back ${gid}, which was to ${branch.decision} long ago`);
    return gid;
  }
}
