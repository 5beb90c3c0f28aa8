import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';

export interface SystemProcess {
  readonly name: string;
  readonly role: string;
  readonly pid: number;
  readonly ports: Readonly<Record<string, number>>;
  readonly databaseUrl?: string;
}

/** The accounts that a benchmark moves money between, at bank-a and at bank-b. */
export const BENCH_ACCOUNTS = 10_000;

const LAB = path.resolve(import.meta.dirname, '../../apps/lab/src/main.js');
/** Away from the ports of `npm start`, so that both can run. */
const PORT_OFFSET = 2_000;

/** A local system of the benchmark's own, fresh, in a directory of its own. */
export class RunningSystem {
  private constructor(private readonly directory: string) {}

  static async start(directory: string): Promise<RunningSystem> {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    await lab(['start', '--detach', '--directory', directory, '--port-offset', String(PORT_OFFSET)]);
    const system = new RunningSystem(directory);
    await system.openAccounts();
    return system;
  }

  /** As they are now: one that was started again has another pid. */
  get processes(): readonly SystemProcess[] {
    const text = readFileSync(path.join(this.directory, 'system.json'), 'utf8');
    return (JSON.parse(text) as { processes: SystemProcess[] }).processes;
  }

  coordinators(): SystemProcess[] {
    return this.processes.filter(({ role }) => role === 'coordinator');
  }

  /** Of bank-a and bank-b. */
  databaseUrls(): [string, string] {
    const [first, second] = this.processes.filter(({ role }) => role === 'participant');
    if (!first?.databaseUrl || !second?.databaseUrl) throw new Error('the system has no two participants');
    return [first.databaseUrl, second.databaseUrl];
  }

  /** The REST address of the coordinator that leads. */
  async leaderUrl(): Promise<string> {
    const [any] = this.coordinators();
    const answer = await fetch(`http://127.0.0.1:${any!.ports['http']}/v1/cluster`);
    const { leaderId, members } = (await answer.json()) as {
      leaderId: number | null;
      members: { nodeId: number; httpUrl: string }[];
    };
    const leader = members.find(({ nodeId }) => nodeId === leaderId);
    if (!leader) throw new Error('the cluster has no leader');
    return leader.httpUrl;
  }

  /** Starts a process that has died again, as the lab's user would; returns when it is ready. */
  async restart(name: string): Promise<void> {
    await lab(['lab', 'restart', name, '--directory', this.directory, '--port-offset', String(PORT_OFFSET)]);
  }

  async stop(): Promise<void> {
    await lab(['stop', '--directory', this.directory, '--port-offset', String(PORT_OFFSET)]);
  }

  private async openAccounts(): Promise<void> {
    for (const connectionString of this.databaseUrls()) {
      const client = new pg.Client({ connectionString });
      await client.connect();
      await client.query(
        `insert into account (id, balance) select 'bench-' || n, 1000000000 from generate_series(0, ${BENCH_ACCOUNTS - 1}) n
         on conflict (id) do nothing`,
      );
      await client.end();
    }
  }
}

/** Runs the lab as a user would; its progress goes to standard error. */
function lab(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', LAB, ...args], { stdio: ['ignore', 2, 2] });
    child.on('error', reject);
    child.on('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`the local system did not ${args[0]} (exit code ${code})`));
    });
  });
}
