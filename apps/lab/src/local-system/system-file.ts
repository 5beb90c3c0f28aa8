import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { LabError } from '../lab-error.js';
import { exclusively } from './file-lock.js';
import { BANKS, type Link, type PartName, type PortNumbers } from './ports.js';

export type Role = 'coordinator' | 'participant' | 'postgres' | 'kafka';

/** One process of the local system, as published in contract.md. */
export interface ProcessRecord {
  readonly name: PartName;
  readonly role: Role;
  readonly pid: number;
  readonly ports: PortNumbers;
  readonly dataDir?: string;
  readonly databaseUrl?: string;
  readonly logFile: string;
  /** variables that a scenario started it with; a scenario that was cut short has left them */
  readonly environment?: Readonly<Record<string, string>>;
  /** part of its command line: a process with this pid and without it is another program */
  readonly marker: string;
  /** it is being ended on purpose, and leaves the system then */
  readonly leaving?: true;
}

/** The services of the shop are participants, too. */
export function isBank({ name }: Pick<ProcessRecord, 'name'>): boolean {
  return BANKS.some((bank) => bank === name);
}

/** The content of `system.json` while a local system runs. */
export interface SystemState {
  readonly clusterName: string;
  readonly topicPrefix: string;
  /** the roads between coordinators and banks */
  readonly link: Link;
  /** whether everything speaks TLS and wants credentials; its folder `security` has them */
  readonly isSecure: boolean;
  readonly startedAt: string;
  /** the process that supervises the others and ends them */
  readonly supervisorPid: number;
  readonly portOffset: number;
  readonly kafkaBrokers: string;
  readonly ready: boolean;
  /** all of it is being ended: no process comes to it any more */
  readonly ending?: true;
  readonly processes: readonly ProcessRecord[];
}

/**
 * `system.json` of one directory. Every write replaces the whole file by a rename, so no reader sees half of it. The
 * supervisor, scenarios and restarts change it, each in a process of its own: a change is made under a lock, so that none
 * is lost. The process that ends the system marks it first; a process that is recorded before is in what is ended, and a later
 * one is refused. Undefined where no system was started.
 */
export class SystemFile {
  readonly path: string;

  constructor(readonly directory: string) {
    this.path = path.join(directory, 'system.json');
  }

  read(): SystemState | undefined {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch {
      return undefined;
    }
    try {
      return JSON.parse(text) as SystemState;
    } catch (cause) {
      throw new LabError(`${this.path} is not readable as JSON; remove it and end leftover processes by hand.`, {
        cause,
      });
    }
  }

  write(state: SystemState): void {
    mkdirSync(this.directory, { recursive: true });
    const temporary = `${this.path}.${process.pid}`;
    writeFileSync(temporary, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 }); // it has passwords of databases
    renameSync(temporary, this.path);
  }

  /** Reads, changes and writes, while no other process does. Does nothing where no system was started. */
  update(change: (state: SystemState) => SystemState): void {
    if (!this.read()) return;
    exclusively(`${this.path}.lock`, () => {
      const state = this.read();
      if (state) this.write(change(state));
    });
  }

  /**
   * Adds a process, or replaces the one of the same name.
   *
   * @throws LabError when the system is being ended, or has ended: the caller must end the process that it has started
   */
  record(process: ProcessRecord): void {
    let isRecorded = false;
    this.update((state) => {
      if (state.ending) return state;
      isRecorded = true;
      return { ...state, processes: [...without(state, process.name), process] };
    });
    if (!isRecorded) throw new LabError(`The local system was ended meanwhile, so ${process.name} was not started.`);
  }

  /** It is about to be ended, and its end is no news. Its record stays until it has ended. */
  markLeaving(name: PartName): void {
    this.update((state) => ({
      ...state,
      processes: state.processes.map((process) => (process.name === name ? { ...process, leaving: true } : process)),
    }));
  }

  forget(name: PartName): void {
    this.update((state) => ({ ...state, processes: without(state, name) }));
  }

  /** From now on nothing comes to the system. @returns all that must be ended */
  markEnding(): readonly ProcessRecord[] {
    this.update((state) => ({ ...state, ending: true }));
    return this.read()?.processes ?? [];
  }
}

function without({ processes }: SystemState, name: PartName): readonly ProcessRecord[] {
  return processes.filter((process) => process.name !== name);
}
