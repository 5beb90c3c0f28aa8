import path from 'node:path';
import { CalledProcess } from '../called-process.js';
import { RowRunner } from '../rows/row-runner.js';
import type { Row } from '../rows/steady-row.js';
import { median } from '../statistics.js';
import type { RunningSystem } from '../system.js';
import { inTurn } from '../transfer/interleaved.js';
import type { ClsCall, ClsCalls, ClsMeasurement } from './cls-process.js';

const PROGRAM = path.resolve(import.meta.dirname, 'cls-process.js');
const PARTICIPANT = 'cls';
const WARM_UP_SECONDS = 5;
/** So many turns of each in a round: a disturbance of a second hits both. */
const TURNS = 10;
const VARIANTS = ['alone', 'joined'] as const;
type Variant = (typeof VARIANTS)[number];

export interface ClsOptions {
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

/** Medians over the turns of one round. */
interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly cpuMicroseconds: number;
}

export type ClsRound = Readonly<Record<Variant, Figures>>;

/** nestjs-cls without a global transaction, alone and in a service that can join; quotients are medians of the rounds. */
export interface ClsFigures {
  readonly clients: number;
  readonly alone: Figures;
  readonly joined: Figures;
  readonly p50Ratio: number;
  readonly cpuRatio: number;
  readonly rounds: readonly Row<ClsRound>[];
}

class ClsProcess extends CalledProcess<ClsCall, ClsCalls> {
  constructor(readonly variant: Variant) {
    super({ name: `nestjs-cls ${variant}`, program: PROGRAM, execArgv: [] });
  }

  stop(): Promise<void> {
    return this.end('stop');
  }
}

/** A method with `@Transactional()` of nestjs-cls, in two processes that take short turns. */
export async function measureCls(system: RunningSystem, options: ClsOptions): Promise<ClsFigures[]> {
  const database = await system.addDatabase(PARTICIPANT, 2);
  const processes: ClsProcess[] = [];
  try {
    for (const variant of VARIANTS) {
      const started = new ClsProcess(variant);
      processes.push(started);
      const concordat = variant === 'joined' ? { ...system.group(), participant: PARTICIPANT } : undefined;
      await started.call('start', { databaseUrl: database, concordat });
    }
    const rows = new RowRunner([system]);
    const figures: ClsFigures[] = [];
    for (const clients of options.clients) {
      for (const one of processes) await one.call('measure', { clients, seconds: WARM_UP_SECONDS });
      const rounds: Row<ClsRound>[] = [];
      for (let round = 1; round <= options.rounds; round++) {
        const label = `nestjs-cls, ${clients} clients, round ${round}`;
        rounds.push(await rows.ofBound(label, () => oneRound(processes, clients, options.seconds), roundText));
      }
      figures.push(summarise(clients, rounds));
    }
    return figures;
  } finally {
    for (const one of processes) await one.stop();
  }
}

async function oneRound(processes: readonly ClsProcess[], clients: number, seconds: number): Promise<ClsRound> {
  const measured: Record<Variant, ClsMeasurement[]> = { alone: [], joined: [] };
  for (let turn = 1; turn <= TURNS; turn++) {
    for (const one of inTurn(processes, turn)) {
      measured[one.variant].push(await one.call('measure', { clients, seconds: (2 * seconds) / TURNS }));
    }
  }
  return { alone: mediansOf(measured.alone), joined: mediansOf(measured.joined) };
}

function mediansOf(turns: readonly ClsMeasurement[]): Figures {
  return {
    perSecond: median(turns.map(({ measurement }) => measurement.perSecond)),
    p50Ms: median(turns.map(({ measurement }) => measurement.p50Ms)),
    cpuMicroseconds: median(turns.map(({ cpuMicroseconds }) => cpuMicroseconds)),
  };
}

function summarise(clients: number, rounds: readonly Row<ClsRound>[]): ClsFigures {
  const of = (variant: Variant, field: keyof Figures): number =>
    median(rounds.map(({ value }) => value[variant][field]));
  const figures = (variant: Variant): Figures => ({
    perSecond: of(variant, 'perSecond'),
    p50Ms: of(variant, 'p50Ms'),
    cpuMicroseconds: of(variant, 'cpuMicroseconds'),
  });
  const ratio = (field: keyof Figures): number =>
    median(rounds.map(({ value }) => value.joined[field] / value.alone[field]));
  return {
    clients,
    alone: figures('alone'),
    joined: figures('joined'),
    p50Ratio: ratio('p50Ms'),
    cpuRatio: ratio('cpuMicroseconds'),
    rounds,
  };
}

function roundText({ alone, joined }: ClsRound): string {
  const text = ({ p50Ms, cpuMicroseconds }: Figures): string => `p50 ${p50Ms.toFixed(3)} ms, CPU ${cpuMicroseconds.toFixed(0)} µs`; // prettier-ignore
  return `alone ${text(alone)}; joined ${text(joined)}`;
}
