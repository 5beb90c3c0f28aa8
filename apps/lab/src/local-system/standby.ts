import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LabError } from '../lab-error.js';
import { initialState, requireFreePorts, stopProcesses } from './local-system.js';
import { bringUp, type SystemContext } from './part.js';
import { portsOf, type BankLetter, type PartName } from './ports.js';
import { postgresDataDir, postgresPart } from './postgres.js';
import { serverAt, SUPERUSER, withSuperuser, type PostgresServer } from './postgres-server.js';
import { SystemFile, type SystemState } from './system-file.js';
import { waitUntil } from './wait.js';

const DIRECTORY = 'standby';
/** Away from the ports of the system's own servers. */
const PORT_DISTANCE = 600;
const STEP_TIMEOUT_MS = 30_000;

/** The data directory and the address of one of the two servers. */
interface Place {
  readonly dataDir: string;
  readonly server: PostgresServer;
}

/**
 * An asynchronous standby of one bank's database: a copy that follows by streaming replication until it is
 * disconnected, promoted, and put in place of the primary.
 */
export class Standby {
  private constructor(
    private readonly context: SystemContext,
    private readonly file: SystemFile,
    private readonly letter: BankLetter,
    private readonly primary: Place,
    private readonly own: Place,
  ) {}

  /** Copies the files of the bank's stopped server. Does not follow yet. */
  static async copy(context: SystemContext, state: SystemState, letter: BankLetter): Promise<Standby> {
    const name: PartName = `postgres-${letter}`;
    const { dataDir, ports } = state.processes.find((process) => process.name === name) ?? {};
    if (dataDir === undefined) throw new LabError(`A standby needs the local PostgreSQL server ${name}.`);
    const ofStandby: SystemContext = {
      ...context,
      directory: path.join(context.directory, DIRECTORY),
      portOffset: state.portOffset + PORT_DISTANCE,
    };
    const own: Place = {
      dataDir: postgresDataDir(ofStandby.directory, letter),
      server: serverAt(context, portsOf(name, ofStandby.portOffset)['postgres']!),
    };
    const primary: Place = { dataDir, server: serverAt(context, ports!['postgres']!) };
    const standby = new Standby(ofStandby, new SystemFile(ofStandby.directory), letter, primary, own);
    await standby.end(); // of an interrupted run
    await requireFreePorts([name], ofStandby.portOffset);
    mkdirSync(path.dirname(own.dataDir), { recursive: true });
    copyTree(dataDir, own.dataDir);
    writeFileSync(path.join(own.dataDir, 'standby.signal'), '');
    appendFileSync(
      path.join(own.dataDir, 'postgresql.auto.conf'),
      `\nprimary_conninfo = '${conninfoOf(primary, own)}'\n`,
    );
    standby.file.write({ ...initialState(ofStandby), ready: true });
    return standby;
  }

  /** Starts it beside the running primary. Returns when it has everything that the primary has written. */
  async follow(): Promise<void> {
    const part = postgresPart(this.context, this.letter);
    await bringUp(part, (started) => this.file.record(started), new AbortController().signal);
    const text = `SELECT replay_lsn >= pg_current_wal_lsn() AS yes FROM pg_stat_replication WHERE state = 'streaming'`;
    await this.until('has everything', this.primary, text);
  }

  /** Disconnects it from the running primary. */
  async cutOff(): Promise<void> {
    await ask(this.own, "ALTER SYSTEM SET primary_conninfo = ''");
    await ask(this.own, 'SELECT pg_reload_conf()');
    await this.until('is cut off', this.primary, 'SELECT count(*) = 0 AS yes FROM pg_stat_replication');
  }

  /** Promotes it, and puts its files in place of the dead primary's. The caller starts the server there. */
  async takePlace(): Promise<void> {
    await ask(this.own, 'SELECT pg_promote()');
    await this.until('is promoted', this.own, 'SELECT NOT pg_is_in_recovery() AS yes');
    await ask(this.own, 'ALTER SYSTEM RESET primary_conninfo');
    await this.stop();
    const aside = `${this.primary.dataDir}.lost`;
    rmSync(aside, { recursive: true, force: true });
    renameSync(this.primary.dataDir, aside);
    renameSync(this.own.dataDir, this.primary.dataDir);
    rmSync(aside, { recursive: true });
  }

  /** Ends its process, and removes its files. */
  async end(): Promise<void> {
    await this.stop();
    rmSync(this.own.dataDir, { recursive: true, force: true });
    rmSync(this.context.directory, { recursive: true, force: true });
  }

  private async stop(): Promise<void> {
    await stopProcesses(this.file.read()?.processes ?? []);
  }

  private async until(what: string, place: Place, text: string): Promise<void> {
    const isSo = async (): Promise<boolean> => (await ask(place, text))[0]?.['yes'] === true;
    if (await waitUntil(isSo, { timeoutMs: STEP_TIMEOUT_MS, pollMs: 50 })) return;
    throw new LabError(
      `It did not come true within ${STEP_TIMEOUT_MS / 1000} s that the standby of postgres-${this.letter} ${what}; see its log in ${this.context.directory}.`,
    );
  }
}

/** How the standby reaches the primary. */
function conninfoOf({ server: { port, caFile, passwordOf } }: Place, { dataDir }: Place): string {
  const login = `user=${SUPERUSER} password=${passwordOf(SUPERUSER)}`;
  // without sslcertmode it looks for a certificate in the home of who started it, which its own user may not read
  const verified = `sslmode=verify-full sslrootcert=${path.join(dataDir, 'root.crt')} sslcertmode=disable`;
  const tls = caFile === undefined ? '' : ` ${verified}`;
  return `host=127.0.0.1 port=${port} ${login} application_name=${DIRECTORY}${tls}`;
}

async function ask({ server }: Place, text: string): Promise<Record<string, unknown>[]> {
  return await withSuperuser(server, async (client) => (await client.query<Record<string, unknown>>(text)).rows);
}

/** With owners and modes: PostgreSQL refuses files that others can read. */
export function copyTree(from: string, to: string): void {
  const { status, stderr } = spawnSync('cp', ['-a', from, to], { encoding: 'utf8' });
  if (status !== 0) throw new LabError(`${from} could not be copied: ${stderr.trim()}`);
}
