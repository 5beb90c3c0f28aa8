import { closedLoop, type Measurement } from '../closed-loop.js';
import { memoryMiB, ProcessMeter } from '../machine/processes.js';
import { openLoop, type OpenLoopMeasurement, type OpenLoopOptions } from '../open-loop.js';
import { RawBound, type RawOrder } from '../raw-bound.js';
import { RestClients, type Accounts, type RestAccess } from '../rest-client.js';
import { countersPerTransfer, ProductCounters } from '../rows/product-counters.js';
import { Leadership } from '../rows/leadership.js';
import type { RunningSystem } from '../system.js';
import { warmUp } from '../warm-up.js';
import type { SystemRound } from './comparison.js';

const WARM_UP_CLIENTS = 64;
const WARM_UP_SLICE_SECONDS = 10;
const WARM_UP = { minimumSlices: 3, agreement: 0.03 };
/** After a pause a system has lost its leases and Kafka sessions, and finds its caches cold. */
const RUN_IN_SLICE_SECONDS = 2;
const RUN_IN = { minimumSlices: 2, maximumSlices: 8, agreement: 0.1 };
const RAW_RUN_IN_SECONDS = 1;

export interface TransferKind {
  /** how the bound asks its two databases */
  readonly rawOrder: RawOrder;
  readonly withKeys: boolean;
  readonly accounts: () => Accounts;
}

/** A system that gets transfers, and the bound on its databases. */
export class TransferLoad {
  private constructor(
    /** what it is called in tables: its link, and whether it is secured */
    readonly link: string,
    readonly leadership: Leadership,
    private readonly access: RestAccess,
    private readonly system: RunningSystem,
    private readonly kind: TransferKind,
    private readonly counters: ProductCounters,
    private readonly pauses: boolean,
  ) {}

  /** @param pauses whether the system is paused while it gets nothing, because others are measured meanwhile */
  static async on(link: string, system: RunningSystem, kind: TransferKind, pauses: boolean): Promise<TransferLoad> {
    const leadership = await Leadership.of(system);
    const counters = await ProductCounters.of(system);
    const access = { ca: system.access().ca, token: await system.access().clientToken() };
    if (pauses) system.pause();
    return new TransferLoad(link, leadership, access, system, kind, counters, pauses);
  }

  /** @param maximumSeconds bounds it: a broker may get faster for long */
  async warmUp(maximumSeconds: number): Promise<void> {
    const seconds = Math.min(WARM_UP_SLICE_SECONDS, maximumSeconds);
    await this.whileAwake(WARM_UP_CLIENTS, async (clients) => {
      const { slices, settled } = await warmUp({
        ...WARM_UP,
        maximumSlices: Math.max(1, Math.floor(maximumSeconds / seconds)),
        slice: async (slice) => {
          const { perSecond } = await clients.closedLoop(seconds);
          process.stderr.write(`  ${this.link}: warm-up ${slice}, ${perSecond.toFixed(0)}/s\n`);
          return perSecond;
        },
      });
      const end = settled ? 'steady' : 'not steady yet, going on nevertheless';
      process.stderr.write(`  ${this.link}: warm-up of ${slices * seconds} s, ${end}\n`);
    });
  }

  async close(): Promise<void> {
    if (this.pauses) this.system.resume(); // one that is paused does not answer to a farewell
    await this.counters.close();
  }

  /** Wakes the system up, waits for its leader, and connects clients; pauses it again afterwards. */
  async whileAwake(clientCount: number, work: (clients: TransferClients) => Promise<void>): Promise<void> {
    if (this.pauses) this.system.resume();
    await this.leadership.settle();
    const raw = await RawBound.connect(this.system.databaseUrls(), clientCount);
    const rest = new RestClients(this.leadership.url, clientCount, this.access);
    try {
      const { system, counters, kind, leadership, access } = this;
      await work(new TransferClients(system, leadership.url, access, raw, rest, counters, clientCount, kind));
    } finally {
      await Promise.all([raw.close(), rest.close()]);
      if (this.pauses) this.system.pause();
    }
  }
}

/** So many clients of one system, with connections of their own. */
export class TransferClients {
  constructor(
    private readonly system: RunningSystem,
    private readonly leaderUrl: string,
    private readonly access: RestAccess,
    private readonly raw: RawBound,
    private readonly rest: RestClients,
    private readonly counters: ProductCounters,
    private readonly clients: number,
    private readonly kind: TransferKind,
  ) {}

  /** Load until the system works as before its pause. */
  async runIn(): Promise<void> {
    const slice = async (): Promise<number> => (await this.closedLoop(RUN_IN_SLICE_SECONDS)).perSecond;
    const { slices, settled } = await warmUp({ ...RUN_IN, slice });
    if (!settled) process.stderr.write(`  not steady after ${slices * RUN_IN_SLICE_SECONDS} s of load\n`);
    await this.bound(RAW_RUN_IN_SECONDS);
  }

  async bound(seconds: number): Promise<Measurement> {
    const attempt = this.raw.attempt(this.kind.rawOrder, this.kind.accounts);
    return await closedLoop(this.clients, { seconds }, attempt);
  }

  async closedLoop(seconds: number): Promise<Measurement> {
    const attempt = this.rest.transfer(this.kind.accounts, this.kind.withKeys);
    return await closedLoop(this.clients, { seconds }, attempt);
  }

  async openLoop(options: OpenLoopOptions): Promise<OpenLoopMeasurement> {
    const rest = new RestClients(this.leaderUrl, options.connections, this.access);
    try {
      return await openLoop(options, rest.transfer(this.kind.accounts, this.kind.withKeys));
    } finally {
      await rest.close();
    }
  }

  /** The closed loop with what it costs. */
  async measured(seconds: number): Promise<SystemRound> {
    const before = await this.counters.read();
    const meter = new ProcessMeter(this.system);
    const measurement = await this.closedLoop(seconds);
    const transfers = Math.max(1, measurement.committed);
    const usage = meter.perTransfer(transfers);
    const counted = countersPerTransfer(before, await this.counters.read(), transfers);
    const costs = Object.entries(usage).map(([name, used]) => [name, { ...used, ...counted[name] }]);
    return {
      measurement,
      perTransfer: Object.fromEntries(costs) as SystemRound['perTransfer'],
      memoryMiB: memoryMiB(this.system.processes),
    };
  }
}
