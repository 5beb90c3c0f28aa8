import { formatTable } from '../report.js';
import { peakResidentMiB } from '../machine/processes.js';
import type { CompactionSample } from './process-protocol.js';
import type { Target } from './targets.js';
import { write } from './writes.js';
import { Trio, type TrioOptions } from './trio.js';

const PROPOSERS = 256;
/** Written at a time, so that the load's own notes do not grow in the leader's heap. */
const PORTION = 20_000;
const MARKS = 5;
/** Written behind the last of them at most; a node compacts far more often. */
const MAXIMUM_FURTHER_COMMANDS = 400_000;

export interface MillionOptions {
  readonly trio: TrioOptions;
  readonly commands: number;
}

export interface NodeMemory {
  readonly node: string;
  /** the first after each fifth of the commands */
  readonly samples: readonly CompactionSample[];
  /** smallest and largest of the samples by their middle, heap and buffers together */
  readonly lowest: number;
  readonly highest: number;
  readonly peakResidentMiB: number;
}

export interface MillionResult {
  readonly commands: number;
  readonly memory: readonly NodeMemory[];
  /** of a follower that was killed with -9: from the start of the node until it has applied all that was committed */
  readonly recoveryMs: number;
  /** the same from the start of its process */
  readonly restartMs: number;
}

/** Memory over so many commands, and how long a node takes to come back afterwards. */
export async function measureMillion({ trio: options, commands }: MillionOptions): Promise<MillionResult> {
  const trio = await Trio.start({ ...options, samplesMemory: true });
  try {
    await writeAll(trio, commands);
    const memory = await Promise.all(
      trio.members.map(async (member): Promise<NodeMemory> => {
        const samples = await member.call('compactions', null);
        return memoryOf(member.name, marked(samples, commands), peakResidentMiB(member.pid));
      }),
    );
    const { recoveryMs, restartMs } = await restartFollower(trio);
    return { commands, memory, recoveryMs, restartMs };
  } finally {
    await trio.stop();
  }
}

/** Writes them, and then on until every node has compacted behind the last of them. */
async function writeAll(trio: Trio, commands: number): Promise<void> {
  for (let total = 0; ;) {
    await write(trio, PROPOSERS, { count: PORTION });
    total += PORTION;
    process.stderr.write(`  ${total} of ${commands} commands\r`);
    if (total < commands) continue;
    await trio.agree();
    const all = await Promise.all(trio.members.map((member) => member.call('compactions', null)));
    if (all.every((samples) => (samples.at(-1)?.commands ?? 0) >= commands)) return;
    if (total > commands + MAXIMUM_FURTHER_COMMANDS) throw new Error('the logs are not compacted any more');
  }
}

function marked(samples: readonly CompactionSample[], commands: number): CompactionSample[] {
  return Array.from({ length: MARKS }, (_, mark) => {
    const wanted = ((mark + 1) * commands) / MARKS;
    return samples.find((sample) => sample.commands >= wanted)!;
  });
}

function memoryOf(node: string, samples: readonly CompactionSample[], peak: number): NodeMemory {
  const sizes = samples.map(({ heapMiB, buffersMiB }) => heapMiB + buffersMiB);
  const middle = (Math.max(...sizes) + Math.min(...sizes)) / 2;
  return {
    node,
    samples,
    lowest: Math.min(...sizes) / middle,
    highest: Math.max(...sizes) / middle,
    peakResidentMiB: peak,
  };
}

async function restartFollower(trio: Trio): Promise<{ recoveryMs: number; restartMs: number }> {
  const victim = await trio.follower();
  const { commitIndex } = await (await trio.leader()).call('status', null);
  const processStart = performance.now();
  const next = await trio.replace(victim);
  await next.call('hello', null);
  const nodeStart = performance.now();
  await next.start();
  while ((await next.call('status', null)).appliedIndex < commitIndex) continue;
  const end = performance.now();
  const digests = await Promise.all(trio.members.map((member) => member.call('digest', null)));
  if (new Set(digests).size !== 1) throw new Error('the nodes do not have the same state');
  return { recoveryMs: end - nodeStart, restartMs: end - processStart };
}

export function millionTable({ memory, recoveryMs, restartMs }: MillionResult): string {
  const marks = memory[0]?.samples.map(({ commands }) => `at ${Math.round(commands / 1000)}k`) ?? [];
  const rows = memory.map(({ node, samples, lowest, highest, peakResidentMiB: peak }) => [
    node,
    ...samples.map(({ heapMiB, buffersMiB }) => `${heapMiB.toFixed(1)} + ${buffersMiB.toFixed(1)}`),
    `-${((1 - lowest) * 100).toFixed(0)} % +${((highest - 1) * 100).toFixed(0)} %`,
    `${peak.toFixed(0)} MiB`,
  ]);
  const table = formatTable(['heap + buffers, MiB', ...marks, 'spread', 'peak resident'], rows);
  return (
    `${table}\nrestart of a killed follower: state recovered ${recoveryMs.toFixed(0)} ms after the start of the node, ` +
    `${restartMs.toFixed(0)} ms after the start of its process`
  );
}

export function millionTargets({ memory, recoveryMs }: MillionResult): Target[] {
  return [
    {
      what: 'memory after compaction, largest by the middle',
      measured: Math.max(...memory.map(({ highest }) => highest)),
      unit: '',
      atMost: 1.1,
    },
    {
      what: 'peak resident memory of a node',
      measured: Math.max(...memory.map(({ peakResidentMiB: peak }) => peak)),
      unit: 'MiB',
      atMost: 300,
    },
    { what: 'restart until the state is recovered', measured: recoveryMs / 1000, unit: 's', atMost: 5 },
  ];
}
