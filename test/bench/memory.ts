import { closedLoop } from './closed-loop.js';
import { residentMiB } from './machine/processes.js';
import { formatTable } from './report.js';
import { RestClients } from './rest-client.js';
import type { RunningSystem } from './system.js';

export interface MemorySample {
  readonly transactions: number;
  /** resident MiB by coordinator */
  readonly residentMiB: Readonly<Record<string, number>>;
}

const CLIENTS = 64;

/** Resident memory of the coordinators after so many transactions in all. */
export async function measureMemory(
  system: RunningSystem,
  marks: readonly number[],
  accounts: () => readonly [string, string],
): Promise<MemorySample[]> {
  const rest = new RestClients(await system.leaderUrl(), CLIENTS);
  const samples: MemorySample[] = [];
  let total = 0;
  try {
    for (const mark of marks) {
      while (total < mark) {
        const { committed } = await closedLoop(
          CLIENTS,
          { count: Math.min(5_000, mark - total) },
          rest.transfer(accounts, false),
        );
        if (committed === 0) throw new Error('no transfer was committed');
        total += committed;
        process.stderr.write(`  ${total} of ${marks.at(-1)} transactions\r`);
      }
      samples.push({ transactions: total, residentMiB: sample(system) });
    }
  } finally {
    await rest.close();
  }
  return samples;
}

function sample(system: RunningSystem): Record<string, number> {
  return Object.fromEntries(system.coordinators().map(({ name, pid }) => [name, residentMiB(pid)]));
}

export function memoryTable(samples: readonly MemorySample[]): string {
  const names = Object.keys(samples[0]?.residentMiB ?? {});
  return formatTable(
    ['transactions', ...names.map((name) => `${name} MiB`)],
    samples.map(({ transactions, residentMiB: resident }) => [
      String(transactions),
      ...names.map((name) => resident[name]!.toFixed(0)),
    ]),
  );
}
