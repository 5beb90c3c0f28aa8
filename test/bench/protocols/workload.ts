import { closedLoop, type Attempt, type Measurement } from '../closed-loop.js';
import { until } from '../until.js';
import { ProcessMeter } from '../machine/processes.js';
import { RestClients } from '../rest-client.js';
import type { RunningSystem } from '../system.js';
import { Bound } from './bound.js';
import { AccountTurns, boundOf, cellsOf, labelOf, transactionBody, type Cell, type ProtocolName } from './cells.js';
import { PreparedBranches } from './in-doubt.js';
import { untilKnown } from './known-participants.js';
import type { CellRounds } from './summary.js';

const WARM_UP_CLIENTS = 64;
/** A cold JVM and cold Node processes need so long; short rounds are a trial, and warm up for less. */
const WARM_UP_SECONDS = 20;
const WARM_UP_ROUNDS = 4;
const DRAIN_PATIENCE_MS = 60_000;

export interface ProtocolsOptions {
  readonly protocols: readonly ProtocolName[];
  readonly branches: readonly number[];
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

export interface ProtocolsMeasurement {
  readonly rounds: readonly CellRounds[];
  /** protocols that the coordinator does not speak; nothing of them was measured */
  /** elections while it was measured: nobody was killed, so the machine was too busy for its figures to mean much */
  readonly leaderChanges: number;
}

/** Participants that the transactions of these options need. */
export function participantsNeeded({ branches }: Pick<ProtocolsOptions, 'branches'>): number {
  return Math.max(...branches);
}

/** Measures every kind of transaction and its bound in turns, round by round, so that a noisy machine is noisy for all. */
export async function measureProtocols(
  system: RunningSystem,
  options: ProtocolsOptions,
): Promise<ProtocolsMeasurement> {
  await untilKnown(system, participantsNeeded(options));
  const cells = cellsOf(options.protocols, options.branches);
  const prepared = await PreparedBranches.connect(system.participants());
  const rounds: CellRounds[] = [];
  let leaderChanges = 0;
  try {
    await warmUp(system, cells, options.seconds);
    for (const clients of options.clients) {
      const turns = new Turns(system, prepared, cells, clients, options);
      rounds.push(...(await turns.run()));
      leaderChanges += turns.leaderChanges;
    }
  } finally {
    await prepared.close();
  }
  return { rounds, leaderChanges };
}

async function warmUp(system: RunningSystem, cells: readonly Cell[], roundSeconds: number): Promise<void> {
  const seconds = Math.min(WARM_UP_SECONDS, WARM_UP_ROUNDS * roundSeconds);
  process.stderr.write(`  warming up for ${seconds} s\n`);
  const rest = new RestClients(await system.leaderUrl(), WARM_UP_CLIENTS);
  const turns = new AccountTurns(WARM_UP_CLIENTS);
  let next = 0;
  try {
    const body = (client: number): string => transactionBody(cells[next++ % cells.length]!, turns.next(client));
    await closedLoop(WARM_UP_CLIENTS, { seconds }, rest.execute(body));
  } finally {
    await rest.close();
  }
}

interface Recorded {
  readonly cell: Cell;
  readonly clients: number;
  readonly bound: Measurement[];
  readonly system: Measurement[];
  readonly cpuMs: number[];
}

/** All kinds at one number of clients. Kinds with the same bound share its measurement of the round. */
class Turns {
  leaderChanges = 0;
  private leader: { readonly url: string; readonly rest: RestClients } | undefined;
  private readonly recorded: readonly Recorded[];
  private readonly systemTurns: AccountTurns;
  private readonly boundTurns: AccountTurns;

  constructor(
    private readonly system: RunningSystem,
    private readonly prepared: PreparedBranches,
    cells: readonly Cell[],
    private readonly clients: number,
    private readonly options: ProtocolsOptions,
  ) {
    this.recorded = cells.map((cell) => ({ cell, clients, bound: [], system: [], cpuMs: [] }));
    this.systemTurns = new AccountTurns(clients);
    this.boundTurns = new AccountTurns(clients);
  }

  async run(): Promise<readonly CellRounds[]> {
    const databaseUrls = this.system.participants().map(({ databaseUrl }) => databaseUrl!);
    const bound = new Bound(databaseUrls, this.clients);
    try {
      await this.round(0, bound); // not recorded: connections, plans and this load are new
      for (let round = 1; round <= this.options.rounds; round++) await this.round(round, bound);
    } finally {
      await Promise.all([bound.close(), this.leader?.rest.close()]);
    }
    return this.recorded;
  }

  /** Connections to the coordinator that leads now: through another one every request would make one more step. */
  private async leaderClients(): Promise<RestClients> {
    const url = await until(() => this.system.leaderUrl().catch(() => undefined), 'a leader');
    if (this.leader?.url === url) return this.leader.rest;
    if (this.leader) {
      this.leaderChanges++;
      await this.leader.rest.close();
    }
    this.leader = { url, rest: new RestClients(url, this.clients) };
    return this.leader.rest;
  }

  /** Every other round goes backwards, so that no kind always follows the same one. */
  private async round(round: number, bound: Bound): Promise<void> {
    const boundOfRound = new Map<string, Measurement>();
    for (const recorded of round % 2 === 0 ? this.recorded.toReversed() : this.recorded) {
      const { cell } = recorded;
      const kind = boundOf(cell);
      const key = `${kind} ${cell.branches}`;
      let ofBound = boundOfRound.get(key);
      if (!ofBound) {
        ofBound = await this.measure(`raw ${key}`, round, bound.attempt(kind, cell.branches, this.boundTurns));
        boundOfRound.set(key, ofBound);
      }
      const rest = await this.leaderClients();
      const meter = new ProcessMeter(this.system);
      const attempt = rest.execute((client) => transactionBody(cell, this.systemTurns.next(client)));
      const measured = await this.measure(labelOf(cell), round, attempt);
      const costs = Object.values(meter.perTransfer(Math.max(1, measured.committed)));
      await this.prepared.none(DRAIN_PATIENCE_MS);
      if (round === 0) continue;
      recorded.bound.push(ofBound);
      recorded.system.push(measured);
      recorded.cpuMs.push(costs.reduce((sum, { cpuMs }) => sum + cpuMs, 0));
    }
  }

  private async measure(label: string, round: number, attempt: Attempt): Promise<Measurement> {
    const measured = await closedLoop(this.clients, { seconds: this.options.seconds }, attempt);
    const aborted = Object.entries(measured.aborted).map(([reason, count]) => `, ${count} ${reason}`);
    process.stderr.write(
      `  ${this.clients} clients, round ${round || 'for warmth'}, ${label}: ${measured.perSecond.toFixed(0)}/s, ` +
        `p50 ${measured.p50Ms.toFixed(2)} ms${aborted.join('')}\n`,
    );
    return measured;
  }
}
