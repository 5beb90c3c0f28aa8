import { closedLoop, type Attempt, type Measurement } from '../closed-loop.js';
import { memoryMiB, ProcessMeter } from '../machine/processes.js';
import { RestClients } from '../rest-client.js';
import { Leadership } from '../rows/leadership.js';
import { RowRunner } from '../rows/row-runner.js';
import type { Row } from '../rows/steady-row.js';
import type { Link, RunningSystem } from '../system.js';
import { inTurn, measurementText } from '../transfer/interleaved.js';
import { warmUp } from '../warm-up.js';
import { Bound } from './bound.js';
import { AccountTurns, boundOf, cellsOf, labelOf, transactionBody, type Cell, type ProtocolName } from './cells.js';
import { PreparedBranches } from './in-doubt.js';
import { untilKnown } from './known-participants.js';
import type { CellRounds } from './summary.js';

const WARM_UP_CLIENTS = 64;
/** Short rounds are a trial, and warm up for less. */
const WARM_UP_SLICE_SECONDS = 10;
const WARM_UP = { minimumSlices: 3, maximumSlices: 8, agreement: 0.03 };
const RUN_IN_SLICE_SECONDS = 2;
const RUN_IN = { minimumSlices: 2, maximumSlices: 8, agreement: 0.1 };
const DRAIN_PATIENCE_MS = 60_000;

export interface ProtocolsOptions {
  readonly protocols: readonly ProtocolName[];
  readonly branches: readonly number[];
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

/** What was measured of one system. */
export interface ProtocolsMeasurement {
  readonly link: Link;
  readonly rounds: readonly CellRounds[];
}

/** Participants that the transactions of these options need. */
export function participantsNeeded({ branches }: Pick<ProtocolsOptions, 'branches'>): number {
  return Math.max(...branches);
}

/**
 * Measures every kind of transaction and its bound in turns, round by round, so that a noisy machine is noisy for all.
 * Systems of several links take turns in every round; those that do not have their turn are paused.
 */
export async function measureProtocols(
  systems: readonly RunningSystem[],
  links: readonly Link[],
  options: ProtocolsOptions,
): Promise<ProtocolsMeasurement[]> {
  const rows = new RowRunner(systems);
  const sides: Side[] = [];
  try {
    for (const [place, link] of links.entries()) {
      sides.push(await Side.of(link, systems[place]!, rows, options, links.length > 1));
    }
    for (const side of sides) await side.warmUp();
    for (const clients of options.clients) {
      for (const side of sides) side.begin(clients);
      // round 0 is not recorded: this load is new
      for (let round = 0; round <= options.rounds; round++) {
        for (const side of inTurn(sides, round)) await side.round(round);
      }
    }
  } finally {
    for (const side of sides) await side.close();
  }
  return sides.map(({ link, rounds }) => ({ link, rounds }));
}

type Recorded = { [Field in keyof CellRounds]: CellRounds[Field] extends readonly (infer Item)[] ? Item[] : CellRounds[Field] }; // prettier-ignore

/** One system and its bound. */
class Side {
  readonly rounds: Recorded[] = [];
  /** of `rounds`, those of this number of clients */
  private recorded: readonly Recorded[] = [];
  private clients = 0;
  private systemTurns = new AccountTurns(1);
  private boundTurns = new AccountTurns(1);

  private constructor(
    readonly link: Link,
    private readonly system: RunningSystem,
    private readonly leadership: Leadership,
    private readonly prepared: PreparedBranches,
    private readonly rows: RowRunner,
    private readonly options: ProtocolsOptions,
    private readonly pauses: boolean,
  ) {}

  static async of(
    link: Link,
    system: RunningSystem,
    rows: RowRunner,
    options: ProtocolsOptions,
    pauses: boolean,
  ): Promise<Side> {
    await untilKnown(system, participantsNeeded(options));
    const leadership = await Leadership.of(system);
    const prepared = await PreparedBranches.connect(system.participants());
    if (pauses) system.pause();
    return new Side(link, system, leadership, prepared, rows, options, pauses);
  }

  async warmUp(): Promise<void> {
    const seconds = Math.min(WARM_UP_SLICE_SECONDS, 2 * this.options.seconds);
    await this.whileAwake(WARM_UP_CLIENTS, async (rest) => {
      const { slices } = await this.load(rest, WARM_UP_CLIENTS, seconds, WARM_UP);
      process.stderr.write(`  ${this.link}: warm-up of ${slices * seconds} s\n`);
    });
  }

  /** What follows is measured with so many clients. */
  begin(clients: number): void {
    this.clients = clients;
    this.systemTurns = new AccountTurns(clients);
    this.boundTurns = new AccountTurns(clients);
    this.recorded = cellsOf(this.options.protocols, this.options.branches).map((cell) => ({
      cell,
      clients,
      bound: [],
      system: [],
      cpuMs: [],
      memoryMiB: [],
      conditions: [],
    }));
    this.rounds.push(...this.recorded);
  }

  /** Every other round goes backwards, so that no kind always follows the same one. Kinds with one bound share it. */
  async round(round: number): Promise<void> {
    const bound = new Bound(
      this.system.participants().map(({ databaseUrl }) => databaseUrl!),
      this.clients,
    );
    try {
      await this.whileAwake(this.clients, async (rest) => {
        await this.load(rest, this.clients, RUN_IN_SLICE_SECONDS, RUN_IN);
        await this.kinds(round, bound, rest);
      });
    } finally {
      await bound.close();
    }
  }

  async close(): Promise<void> {
    if (this.pauses) this.system.resume(); // one that is paused does not answer to a farewell
    await this.prepared.close();
  }

  private async kinds(round: number, bound: Bound, rest: RestClients): Promise<void> {
    const boundOfRound = new Map<string, Row<Measurement>>();
    for (const recorded of round % 2 === 0 ? this.recorded.toReversed() : this.recorded) {
      const { cell } = recorded;
      const label = (what: string): string => `${this.link}, ${this.clients} clients, round ${round || 'for warmth'}, ${what}`; // prettier-ignore
      const key = `${boundOf(cell)} ${cell.branches}`;
      let ofBound = boundOfRound.get(key);
      if (!ofBound) {
        const attempt = bound.attempt(boundOf(cell), cell.branches, this.boundTurns);
        ofBound = await this.rows.ofBound(label(`raw ${key}`), () => this.closedLoop(attempt), measurementText);
        boundOfRound.set(key, ofBound);
      }
      const row = await this.rows.ofSystem(
        label(labelOf(cell)),
        this.leadership,
        () => this.costing(rest.execute((client) => transactionBody(cell, this.systemTurns.next(client)))),
        ({ measurement }) => measurementText(measurement),
      );
      if (round === 0) continue;
      recorded.bound.push(ofBound.value);
      recorded.system.push(row.value.measurement);
      recorded.cpuMs.push(row.value.cpuMs);
      recorded.memoryMiB.push(row.value.memoryMiB);
      recorded.conditions.push(...[ofBound, row].map(({ foreignShare, doubts, attempts }) => ({ foreignShare, doubts, attempts }))); // prettier-ignore
    }
  }

  /** What is measured next does not pay for the ends of these transactions. */
  private async costing(attempt: Attempt): Promise<{ measurement: Measurement; cpuMs: number; memoryMiB: number }> {
    const meter = new ProcessMeter(this.system);
    const measurement = await this.closedLoop(attempt);
    const costs = Object.values(meter.perTransfer(Math.max(1, measurement.committed)));
    const memory = Object.values(memoryMiB(this.system.processes));
    await this.prepared.none(DRAIN_PATIENCE_MS);
    const sum = (figures: readonly number[]): number => figures.reduce((total, figure) => total + figure, 0);
    return { measurement, cpuMs: sum(costs.map(({ cpuMs }) => cpuMs)), memoryMiB: sum(memory) };
  }

  private closedLoop(attempt: Attempt): Promise<Measurement> {
    return closedLoop(this.clients, { seconds: this.options.seconds }, attempt);
  }

  private load(rest: RestClients, clients: number, seconds: number, limits: typeof WARM_UP): ReturnType<typeof warmUp> {
    const cells: readonly Cell[] = cellsOf(this.options.protocols, this.options.branches);
    const turns = new AccountTurns(clients);
    let next = 0;
    const body = (client: number): string => transactionBody(cells[next++ % cells.length]!, turns.next(client));
    const slice = async (): Promise<number> => (await closedLoop(clients, { seconds }, rest.execute(body))).perSecond;
    return warmUp({ ...limits, slice });
  }

  private async whileAwake(clients: number, work: (rest: RestClients) => Promise<void>): Promise<void> {
    if (this.pauses) this.system.resume();
    await this.leadership.settle();
    const rest = new RestClients(this.leadership.url, clients);
    try {
      await work(rest);
    } finally {
      await rest.close();
      if (this.pauses) this.system.pause();
    }
  }
}
