import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { withDescendants } from './machine/proc-files.js';
import { SystemAccess } from './system-access.js';
import {
  createDatabase,
  LIMITS_FOR_MORE,
  MAXIMUM_PARTICIPANTS,
  startParticipants,
  startProcess,
  type ParticipantSurroundings,
  type SystemProcess,
} from './participants.js';

export type { SystemProcess } from './participants.js';

/** The accounts that a benchmark moves money between, at each participant. */
export const BENCH_ACCOUNTS = 10_000;

const LAB = path.resolve(import.meta.dirname, '../../apps/lab/src/main.js');
/** Away from the ports of `npm start`, so that both can run. */
const PORT_OFFSET = 2_000;
/** Between the ports of systems that are up at once. */
const PORT_DISTANCE = 100;
const EXIT_CODE_INTERRUPTED = 130;
/** bank-a, bank-b and bank-c. */
export const OWN_PARTICIPANTS = 3;

export interface SystemOptions {
  /** added to every port; default 2,000 */
  readonly portOffset?: number;
  /** default 3, which are those of the local system itself; at most 16 */
  readonly participants?: number;
  /** the roads between coordinators and participants; default Kafka */
  readonly link?: Link;
  /** whether it has TLS, signatures and credentials everywhere; default false */
  readonly isSecure?: boolean;
  /** whether its PostgreSQL servers have room for the databases of further services; default false */
  readonly hasServices?: boolean;
}

/** A service of a benchmark's own, with a database of its own on one of the system's servers. */
export interface ServiceSpecification {
  /** letters of the lower case, digits and hyphens */
  readonly name: string;
  readonly program: string;
  readonly http: number;
  /** which of the servers has its database */
  readonly server: number;
  readonly environment: NodeJS.ProcessEnv;
}

/** The roads that a local system can be started with. */
export const LINKS = ['kafka', 'direct', 'both'] as const;
export type Link = (typeof LINKS)[number];

/** One of the systems that are compared. */
export interface SystemVariant {
  readonly link: Link;
  readonly isSecure?: boolean;
}

/** As tables and progress call it. */
export function nameOf({ link, isSecure = false }: SystemVariant): string {
  return isSecure ? `${link}, secured` : link;
}

/** What the benchmark reads of `system.json`. */
interface SystemState {
  readonly supervisorPid: number;
  readonly clusterName: string;
  readonly kafkaBrokers: string;
  readonly link: Link;
  readonly processes: readonly SystemProcess[];
}

/** A local system of the benchmark's own, fresh, in a directory of its own. */
export class RunningSystem {
  private readonly environment: NodeJS.ProcessEnv;

  private readonly portOffset: number;
  private readonly participantCount: number;
  private readonly link: Link;
  private readonly isSecure: boolean;
  private known: SystemAccess | undefined;
  private starting: ChildProcess | undefined;

  constructor(
    private readonly directory: string,
    {
      portOffset = PORT_OFFSET,
      participants = OWN_PARTICIPANTS,
      link = 'kafka',
      hasServices = false,
      isSecure = false,
    }: SystemOptions = {},
  ) {
    if (participants > MAXIMUM_PARTICIPANTS) throw new Error(`there are at most ${MAXIMUM_PARTICIPANTS} participants`);
    this.portOffset = portOffset;
    this.participantCount = participants;
    this.link = link;
    this.isSecure = isSecure;
    const isLarger = participants > OWN_PARTICIPANTS || hasServices;
    this.environment = {
      ...process.env,
      CONCORDAT_FAILPOINTS: 'off', // as in production
      CONCORDAT_LAB_KAFKA_JAVA_OPTIONS: '', // both compilers, as in production; the warm-up waits for them
      ...(isLarger && { CONCORDAT_LAB_POSTGRES_LIMITS: LIMITS_FOR_MORE }),
    };
  }

  /** Whoever calls it calls `stop` afterwards, also when it fails. Ends what a killed benchmark has left behind. */
  async start(): Promise<void> {
    if (existsSync(this.stateFile())) await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
    mkdirSync(this.directory, { recursive: true });
    await this.lab(['start', '--detach', '--link', this.link, ...(this.isSecure ? ['--secure'] : [])]);
    await this.addParticipants();
    await this.openAccounts();
  }

  /** As they are now: one that was started again has another pid. */
  get processes(): readonly SystemProcess[] {
    return this.state().processes;
  }

  /** Of all its processes, the one that supervises the others included; without their children. */
  processIds(): number[] {
    const { supervisorPid, processes } = this.state();
    return [supervisorPid, ...processes.map(({ pid }) => pid)];
  }

  /** In the order of their names. */
  participants(): SystemProcess[] {
    const byName = (one: SystemProcess, other: SystemProcess): number => one.name.localeCompare(other.name);
    return this.processes.filter(({ role }) => role === 'participant').sort(byName);
  }

  coordinators(): SystemProcess[] {
    return this.processes.filter(({ role }) => role === 'coordinator');
  }

  /** Of bank-a and bank-b. */
  databaseUrls(): [string, string] {
    const [first, second] = this.participants();
    if (!first?.databaseUrl || !second?.databaseUrl) throw new Error('the system has no two participants');
    return [first.databaseUrl, second.databaseUrl];
  }

  /** How to call its processes. */
  access(): SystemAccess {
    return (this.known ??= new SystemAccess(this.directory, this.state().clusterName, this.isSecure));
  }

  /** The REST address of the coordinator that leads. */
  async leaderUrl(): Promise<string> {
    const [any] = this.coordinators();
    const access = this.access();
    const answer = await access.fetch(`${access.urlOf(any!)}/v1/cluster`);
    const { leaderId, members } = (await answer.json()) as {
      leaderId: number | null;
      members: { nodeId: number; httpUrl: string }[];
    };
    const leader = members.find(({ nodeId }) => nodeId === leaderId);
    if (!leader) throw new Error('the cluster has no leader');
    return leader.httpUrl;
  }

  /**
   * Stops every process but the supervisor, until `resume`. A system that only idles takes a tenth of two cores, which
   * another one that is measured meanwhile would miss.
   */
  pause(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  /** Starts a process that has died again, as the lab's user would; returns when it is ready. */
  async restart(name: string): Promise<void> {
    await this.lab(['lab', 'restart', name]);
  }

  /** The coordinators by their REST addresses, and the name of their cluster. */
  group(): { coordinators: readonly string[]; cluster: string } {
    const { coordinators, clusterName } = this.surroundings();
    return { coordinators: coordinators.split(','), cluster: clusterName };
  }

  /** A database with the accounts of the benchmark. @param server which of the system's servers has it */
  async addDatabase(name: string, server: number): Promise<string> {
    const { servers } = this.surroundings();
    const { ports } = servers[server % servers.length]!;
    const databaseUrl = await createDatabase(ports['postgres']!, name.replaceAll('-', '_'));
    await openAccounts(databaseUrl);
    return databaseUrl;
  }

  /** Starts a service with the accounts of the benchmark in its database; resolves when it is ready. */
  async addService({ name, program, http, server, environment }: ServiceSpecification): Promise<void> {
    const surroundings = this.surroundings();
    const { coordinators, clusterName } = surroundings;
    const databaseUrl = await this.addDatabase(name, server);
    const common = {
      CONCORDAT_COORDINATORS: coordinators,
      CONCORDAT_CLUSTER: clusterName,
      CONCORDAT_HTTP: `127.0.0.1:${http}`,
      CONCORDAT_PARTICIPANT: name,
      DATABASE_URL: databaseUrl,
    };
    const specification = { name, role: 'service', program, http, databaseUrl };
    await startProcess({ ...specification, environment: { ...common, ...environment } }, surroundings, (started) =>
      this.record(started),
    );
  }

  /** Ends everything, participants of the benchmark's own included: they stand in `system.json`, too. */
  async stop(): Promise<void> {
    this.starting?.kill('SIGTERM'); // it ends what it has started
    if (existsSync(this.stateFile())) this.resume(); // a paused process cannot end
    await this.known?.close();
    this.known = undefined;
    await this.lab(['stop']);
  }

  /** PostgreSQL is one process per connection. */
  private signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    const pids = withDescendants(this.processes.map(({ pid }) => pid));
    for (const pid of pids) {
      try {
        process.kill(pid, name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has ended meanwhile
      }
    }
  }

  private state(): SystemState {
    return JSON.parse(readFileSync(this.stateFile(), 'utf8')) as SystemState;
  }

  private stateFile(): string {
    return path.join(this.directory, 'system.json');
  }

  /** Nobody else writes the file now: the supervisor only when it starts, the lab only when it restarts a part. */
  private record(process: SystemProcess): void {
    const state = this.state();
    const temporary = `${this.stateFile()}.bench`;
    writeFileSync(temporary, JSON.stringify({ ...state, processes: [...state.processes, process] }, null, 2));
    renameSync(temporary, this.stateFile());
  }

  private async addParticipants(): Promise<void> {
    if (this.participantCount <= OWN_PARTICIPANTS) return;
    process.stderr.write(`starting ${this.participantCount - OWN_PARTICIPANTS} more participants\n`);
    const surroundings = this.surroundings();
    await startParticipants(OWN_PARTICIPANTS, this.participantCount, surroundings, (started) => this.record(started));
  }

  private surroundings(): ParticipantSurroundings {
    const { clusterName, kafkaBrokers, link, processes } = this.state();
    const servers = processes.filter(({ role }) => role === 'postgres');
    return {
      directory: this.directory,
      environment: this.environment,
      portOffset: this.portOffset,
      clusterName,
      kafkaBrokers,
      link,
      coordinators: this.coordinators()
        .map(({ ports }) => `http://127.0.0.1:${ports['http']}`)
        .join(','),
      servers: servers.sort((one, other) => one.name.localeCompare(other.name)),
    };
  }

  private async openAccounts(): Promise<void> {
    for (const { databaseUrl } of this.participants()) await openAccounts(databaseUrl!);
  }

  /** Runs the lab as a user would; its progress goes to standard error. */
  private lab(words: readonly string[]): Promise<void> {
    const args = [...words, '--directory', this.directory, '--port-offset', String(this.portOffset)];
    return new Promise((resolve, reject) => {
      const options = { stdio: ['ignore', 2, 2] satisfies StdioOptions, env: this.environment };
      const child = spawn(process.execPath, ['--enable-source-maps', LAB, ...args], options);
      if (words[0] === 'start') this.starting = child;
      child.on('error', reject);
      child.on('exit', (code) => {
        if (this.starting === child) this.starting = undefined;
        if (code === 0) resolve();
        else reject(new Error(`the local system did not ${words.join(' ')} (exit code ${code})`));
      });
    });
  }
}

async function openAccounts(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    await client.query('create table if not exists account (id text primary key, balance bigint not null)');
    await client.query(
      `insert into account (id, balance) select 'bench-' || n, 1000000000 from generate_series(0, ${BENCH_ACCOUNTS - 1}) n
       on conflict (id) do nothing`,
    );
  } finally {
    await client.end();
  }
}

/** Runs systems for some work, one for each variant, all up at once; ends them whatever happens, Ctrl-C included. */
export async function withSystems<T>(
  results: string,
  variants: readonly (Link | SystemVariant)[],
  { portOffset = PORT_OFFSET, ...options }: Omit<SystemOptions, 'link' | 'isSecure'>,
  work: (systems: readonly RunningSystem[]) => Promise<T>,
): Promise<T> {
  const systems: RunningSystem[] = [];
  let stopping: Promise<void> | undefined;
  // an interruption also makes the work fail: both wait for the same end
  const stop = (): Promise<void> => (stopping ??= stopAll(systems));
  const interrupted = (): void => void stop().finally(() => process.exit(EXIT_CODE_INTERRUPTED));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  try {
    for (const [place, one] of variants.entries()) {
      const variant = typeof one === 'string' ? { link: one } : one;
      const name = nameOf(variant);
      process.stderr.write(`starting a system for the benchmark, link ${name}\n`);
      const folder = variants.length === 1 ? 'system' : `system-${name.replace(', ', '-')}`;
      const system = new RunningSystem(path.join(results, folder), {
        ...options,
        ...variant,
        portOffset: portOffset + place * PORT_DISTANCE,
      });
      systems.push(system); // before it starts, so that an interruption ends it
      await system.start();
    }
    return await work([...systems]);
  } finally {
    await stop();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
  }
}

/** One that does not end is reported when all others have ended. */
async function stopAll(systems: readonly RunningSystem[]): Promise<void> {
  const ended = await Promise.allSettled(systems.map((system) => system.stop()));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed) throw failed.reason;
}
