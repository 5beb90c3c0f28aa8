import { closedLoop, type Attempt } from '../closed-loop.js';
import { ProcessMeter } from '../machine/processes.js';
import { isMet } from '../raft/targets.js';
import type { Bar } from '../report.js';
import { Leadership } from '../rows/leadership.js';
import { RowRunner } from '../rows/row-runner.js';
import type { Row } from '../rows/steady-row.js';
import { withSystems, type Link, type RunningSystem } from '../system.js';
import { inTurn, measurementText } from '../transfer/interleaved.js';
import { warmUp } from '../warm-up.js';
import { measureCls } from './cls.js';
import { CONTENDERS, withContenders, type Contender, type ContenderName, type Sides } from './contenders.js';
import type { BranchRows, CostedMeasurement, TransferRows } from './measurement.js';
import { printSdkReport, sdkBars, sdkTargets } from './report.js';
import { BenchServices, transferOrder } from './services.js';

/** Parts of the workload, by what they measure. */
export const SDK_PARTS = ['transfers', 'cls', 'branches'] as const;
export type SdkPart = (typeof SDK_PARTS)[number];

export interface SdkOptions {
  /** of the system's data */
  readonly results: string;
  readonly portOffset: number;
  readonly parts: readonly SdkPart[];
  readonly link: Link;
  readonly clients: readonly number[];
  /** services in one transaction, the one that begins included */
  readonly branches: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
}

const WARM_UP_CLIENTS = 64;
const WARM_UP_SLICE_SECONDS = 5;
const WARM_UP = { minimumSlices: 3, agreement: 0.03 };
const CLS_CLIENTS = [1, 8];

/** Services that begin and join global transactions, against one-shot transactions and raw, in turns. Prints tables. */
export async function runSdkWorkload(options: SdkOptions): Promise<{ result: unknown; bars: Bar[] }> {
  const { results, portOffset, link, parts } = options;
  const measured = await withSystems(results, [link], { portOffset, hasServices: true }, async ([system]) => {
    const mostCallees = Math.max(1, ...options.branches.map((branches) => branches - 1));
    const services = new BenchServices(system!, portOffset, mostCallees);
    const runs = (part: SdkPart): boolean => parts.includes(part);
    if (runs('transfers') || runs('branches')) await services.start();
    const workload = new SdkWorkload(system!, services, await Leadership.of(system!), options);
    // The services that only the last part needs are not there while the others are measured.
    const transfers = runs('transfers') ? await workload.transfers() : [];
    const cls = runs('cls') ? await measureCls(system!, { ...options, clients: CLS_CLIENTS }) : [];
    const branches = runs('branches') ? await workload.branches() : [];
    return { transfers, cls, branches };
  });
  printSdkReport(measured);
  const targets = sdkTargets(measured).map((target) => ({ ...target, met: isMet(target) }));
  return { result: { ...measured, targets }, bars: sdkBars(measured) };
}

class SdkWorkload {
  private readonly rows: RowRunner;

  constructor(
    private readonly system: RunningSystem,
    private readonly services: BenchServices,
    private readonly leadership: Leadership,
    private readonly options: SdkOptions,
  ) {
    this.rows = new RowRunner([system]);
  }

  async transfers(): Promise<TransferRows[]> {
    await this.warmUp();
    const all: TransferRows[] = [];
    for (const clients of this.options.clients) {
      all.push(await withContenders(this.sides(), clients, (contenders) => this.transfersOf(clients, contenders)));
    }
    return all;
  }

  /** One client, and ever more services. */
  async branches(): Promise<BranchRows[]> {
    const { branches, rounds, seconds } = this.options;
    await this.services.startCallees(Math.max(...branches) - 1);
    const measured = branches.map((count) => ({ branches: count, rounds: [] as Row<CostedMeasurement>[] }));
    const orders = this.services.clients('orders', 1);
    try {
      // round 0 is not recorded: the called services are new
      for (let round = 0; round <= rounds; round++) {
        for (const { branches: count, rounds: recorded } of inTurn(measured, round)) {
          const attempt = orders.post('/transfers', () => transferOrder(['bench-0', 'bench-0'], count - 1));
          const label = `${count} branches, round ${round || 'for warmth'}`;
          const row = await this.row(label, 'interactive', 1, seconds, attempt);
          if (round > 0) recorded.push(row);
        }
      }
    } finally {
      await orders.close();
    }
    return measured;
  }

  /** Each round begins with another contender. */
  private async transfersOf(clients: number, contenders: readonly Contender[]): Promise<TransferRows> {
    const { rounds, seconds } = this.options;
    const recorded = Object.fromEntries(CONTENDERS.map((name) => [name, [] as Row<CostedMeasurement>[]])) as Record<
      ContenderName,
      Row<CostedMeasurement>[]
    >;
    // round 0 is not recorded: this load is new
    for (let round = 0; round <= rounds; round++) {
      for (const { name, attempt } of inTurn(contenders, round)) {
        const label = `${clients} clients, round ${round || 'for warmth'}, ${name.padEnd(20)}`;
        const row = await this.row(label, name, clients, seconds, attempt);
        if (round > 0) recorded[name].push(row);
      }
    }
    return { clients, rounds: recorded };
  }

  private sides(): Sides {
    const { system, leadership, services } = this;
    return { system, leadership, services };
  }

  private async row(
    label: string,
    name: ContenderName,
    clients: number,
    seconds: number,
    attempt: Attempt,
  ): Promise<Row<CostedMeasurement>> {
    const work = (): Promise<CostedMeasurement> => this.costing(clients, seconds, attempt);
    const text = ({ measurement }: CostedMeasurement): string => measurementText(measurement);
    if (name === 'raw') return this.rows.ofBound(label, work, text);
    return this.rows.ofSystem(label, this.leadership, work, text);
  }

  private async costing(clients: number, seconds: number, attempt: Attempt): Promise<CostedMeasurement> {
    const meter = new ProcessMeter(this.system);
    const measurement = await closedLoop(clients, { seconds }, attempt);
    const used = Object.entries(meter.perTransfer(Math.max(1, measurement.committed)));
    return { measurement, cpuMs: Object.fromEntries(used.map(([process, { cpuMs }]) => [process, cpuMs])) };
  }

  private async warmUp(): Promise<void> {
    const { warmUpSeconds } = this.options;
    const seconds = Math.min(WARM_UP_SLICE_SECONDS, warmUpSeconds);
    await withContenders(this.sides(), WARM_UP_CLIENTS, async (contenders) => {
      const systems = contenders.filter(({ name }) => name !== 'raw');
      const { slices, settled } = await warmUp({
        ...WARM_UP,
        maximumSlices: Math.max(1, Math.floor(warmUpSeconds / seconds)),
        slice: async (slice) => {
          let committed = 0;
          for (const { attempt } of systems) {
            const measured = await closedLoop(WARM_UP_CLIENTS, { seconds: seconds / systems.length }, attempt);
            committed += measured.committed;
          }
          process.stderr.write(`  warm-up ${slice}, ${(committed / seconds).toFixed(0)}/s\n`);
          return committed / seconds;
        },
      });
      const end = settled ? 'steady' : 'not steady yet, going on nevertheless';
      process.stderr.write(`  warm-up of ${slices * seconds} s, ${end}\n`);
    });
  }
}
