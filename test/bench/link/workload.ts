import path from 'node:path';
import { CalledProcess } from '../called-process.js';
import { formatTable, type Bar } from '../report.js';
import { median } from '../statistics.js';
import { Batcher, decodeBatch } from './batches.js';
import type { EchoCall } from './echo-process.js';
import { dial, WIRES, type WireName } from './wires.js';

export interface LinkOptions {
  /** messages in flight */
  readonly clients: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
}

/** One wire at one number of messages in flight; medians of all rounds. */
export interface LinkResult {
  readonly wire: WireName;
  readonly clients: number;
  /** round trips */
  readonly perSecond: number;
  /** of both processes, for one round trip, in microseconds */
  readonly cpuMicroseconds: number;
}

/** About what a vote or a decision takes. */
const MESSAGE_BYTES = 300;
const WARM_UP_SECONDS = 2;
const PROGRAM = path.resolve(import.meta.dirname, 'echo-process.js');

interface EchoCalls {
  listen: { request: WireName; answer: number };
  cpu: { request: null; answer: NodeJS.CpuUsage };
  stop: { request: null; answer: null };
}

class EchoProcess extends CalledProcess<EchoCall, EchoCalls> {
  stop(): Promise<void> {
    return this.end('stop');
  }
}

/** Round trips over frames and over gRPC between the same two processes, in turns. */
export async function runLinkWorkload(options: LinkOptions): Promise<{ result: readonly LinkResult[]; bars: Bar[] }> {
  const echo = new EchoProcess({ name: 'echo', program: PROGRAM, execArgv: [] });
  const rows: LinkResult[] = [];
  try {
    const ports = new Map<WireName, number>();
    for (const wire of WIRES) ports.set(wire, await echo.call('listen', wire));
    for (const wire of WIRES) await measure(echo, wire, ports.get(wire)!, 64, WARM_UP_SECONDS);
    for (const clients of options.clients) {
      const samples = new Map<WireName, LinkResult[]>(WIRES.map((wire) => [wire, []]));
      for (let round = 0; round < options.rounds; round++) {
        // each round begins with the other one
        for (const wire of round % 2 === 0 ? WIRES : WIRES.toReversed())
          samples.get(wire)!.push(await measure(echo, wire, ports.get(wire)!, clients, options.seconds));
      }
      for (const wire of WIRES) rows.push(mediansOf(samples.get(wire)!));
    }
  } finally {
    await echo.stop();
  }
  const bars = rows.map(({ wire, clients, perSecond }) => ({ label: `${wire}, ${clients}`, value: perSecond }));
  return { result: rows, bars };
}

export function linkTable(rows: readonly LinkResult[]): string {
  const [other] = WIRES;
  const lines = rows.map(({ wire, clients, perSecond, cpuMicroseconds }) => {
    const base = rows.find((row) => row.wire === other && row.clients === clients)!;
    const ratio = (perSecond / base.perSecond).toFixed(2);
    const cpuRatio = (cpuMicroseconds / base.cpuMicroseconds).toFixed(2);
    return [`${clients}`, wire, perSecond.toFixed(0), ratio, cpuMicroseconds.toFixed(1), cpuRatio];
  });
  return formatTable(['in flight', 'wire', 'round trips/s', `to ${other}`, 'CPU µs each', `to ${other}`], lines);
}

/** Keeps `clients` messages on their way for some seconds. */
async function measure(
  echo: EchoProcess,
  wireName: WireName,
  port: number,
  clients: number,
  seconds: number,
): Promise<LinkResult> {
  const message = Buffer.alloc(MESSAGE_BYTES, 1);
  let done = 0;
  let isOver = false;
  const wire = await dial(wireName, port, (batch) => {
    for (const echoed of decodeBatch(batch)) {
      done++;
      if (!isOver) batcher.send(echoed);
    }
  });
  const batcher = new Batcher((batch) => wire.write(batch));
  const before = await echo.call('cpu', null);
  const own = process.cpuUsage();
  const start = performance.now();
  for (let count = 0; count < clients; count++) batcher.send(message);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  isOver = true;
  const tookMs = performance.now() - start;
  const trips = done;
  const ownAfter = process.cpuUsage(own);
  const after = await echo.call('cpu', null);
  wire.close();
  const echoCpu = after.user + after.system - before.user - before.system;
  return {
    wire: wireName,
    clients,
    perSecond: (trips * 1000) / tookMs,
    cpuMicroseconds: (ownAfter.user + ownAfter.system + echoCpu) / Math.max(1, trips),
  };
}

function mediansOf(samples: readonly LinkResult[]): LinkResult {
  return {
    ...samples[0]!,
    perSecond: median(samples.map(({ perSecond }) => perSecond)),
    cpuMicroseconds: median(samples.map(({ cpuMicroseconds }) => cpuMicroseconds)),
  };
}
