import { LabError } from '../lab-error.js';
import { dismiss, requireRunning, startGuest, stopProcesses } from '../local-system/local-system.js';
import type { SystemContext } from '../local-system/part.js';
import { isRunning, signal as sendSignal } from '../local-system/process-table.js';
import { GUEST_NAME, httpUrl, portsOf, type PartName } from '../local-system/ports.js';
import { changedParts, restartPart } from '../local-system/restart.js';
import type { ProcessRecord, SystemFile, SystemState } from '../local-system/system-file.js';
import { waitUntil } from '../local-system/wait.js';
import type { Narration } from '../narration.js';
import { describeAnswer, request } from '../rest.js';
import { Databases } from './databases.js';
import type { Load } from './load.js';
import { checkOf, type Check } from './truth.js';

const FAULT_TIMEOUT_MS = 30_000;
const LEADER_TIMEOUT_MS = 30_000;
const SHORT_REQUEST_MS = 2000;
/** A new member gets the whole log before it may vote. */
const MEMBERSHIP_TIMEOUT_MS = 60_000;

/** The tools of a scenario: the processes, their failpoints, the databases and the load. */
export class ScenarioLab {
  readonly databases: Databases;
  /** checks of the scenario itself, beside the common ones */
  readonly findings: Check[] = [];

  constructor(
    readonly context: SystemContext,
    readonly file: SystemFile,
    readonly narration: Narration,
    readonly load: Load,
  ) {
    this.databases = new Databases(this.state());
  }

  /** Adds a check of the scenario: it holds when there are no problems. */
  check(name: string, problems: readonly string[], good: string): void {
    this.findings.push(checkOf(name, problems, good));
  }

  state(): SystemState {
    return requireRunning(this.file);
  }

  process(name: string): ProcessRecord {
    const record = this.state().processes.find((candidate) => candidate.name === name);
    if (!record) throw new LabError(`The running system has no part "${name}", and the scenario needs it.`);
    return record;
  }

  coordinators(): ProcessRecord[] {
    return this.state().processes.filter(({ role }) => role === 'coordinator');
  }

  url(name: string): string {
    const { security } = this.context;
    return httpUrl({ security, portOffset: this.state().portOffset }, this.process(name).name);
  }

  /** The coordinator that leads, from the view of a node other than `except`. */
  async leader(except?: string): Promise<PartName> {
    let found: PartName | undefined;
    const ask = async (): Promise<boolean> => {
      for (const { name } of this.coordinators()) {
        if (name === except) continue;
        try {
          const { body } = await request('GET', `${this.url(name)}/v1/cluster`, undefined, {}, SHORT_REQUEST_MS);
          const leader = `coordinator-${String(body['leaderId'])}`;
          found = this.coordinators().find((candidate) => candidate.name === leader && leader !== except)?.name;
          if (found) return true;
        } catch {
          continue; // this node does not answer: the next one
        }
      }
      return false;
    };
    await waitUntil(ask, { timeoutMs: LEADER_TIMEOUT_MS });
    if (found) return found;
    throw new LabError(`No coordinator knew a leader within ${LEADER_TIMEOUT_MS / 1000} s.`);
  }

  /** Arms failpoints of one process; an empty text disarms. */
  async arm(name: string, specification: string): Promise<void> {
    const answer = await request('PUT', `${this.url(name)}/debug/failpoints`, { arm: specification });
    if (answer.status !== 200) throw new LabError(`${name} refused the failpoint: ${describeAnswer(answer)}.`);
  }

  /** Waits until an armed failpoint has killed the process. */
  async waitForDeath(name: string): Promise<void> {
    const record = this.process(name);
    if (await waitUntil(() => !isRunning(record), { timeoutMs: FAULT_TIMEOUT_MS, pollMs: 20 })) return;
    throw new LabError(`${name} should have died at its failpoint within ${FAULT_TIMEOUT_MS / 1000} s and did not.`);
  }

  /** kill -9 */
  async kill(name: string): Promise<void> {
    sendSignal(this.process(name).pid, 'SIGKILL');
    await this.waitForDeath(name);
  }

  pause(name: string): void {
    sendSignal(this.process(name).pid, 'SIGSTOP');
  }

  wake(name: string): void {
    sendSignal(this.process(name).pid, 'SIGCONT');
  }

  /** Ends a part as an administrator would; its data are complete then. */
  async stop(name: string): Promise<void> {
    const record = this.process(name);
    await stopProcesses([record]);
    if (isRunning(record)) throw new LabError(`${name} could not be stopped.`);
  }

  /** Restarts a dead part, with further environment variables if given. */
  async restart(name: string, environment: Readonly<Record<string, string>> = {}): Promise<void> {
    this.narration.action(`start ${name} again`);
    this.narration.observation(`${name} is ready again after ${await this.revive(name, environment)} ms`);
  }

  /** The same without narration; returns how long it took, in milliseconds. */
  async revive(name: string, environment: Readonly<Record<string, string>> = {}): Promise<number> {
    const start = Date.now();
    await restartPart({ ...this.context, environment }, this.file, name, new AbortController().signal);
    return Date.now() - start;
  }

  /** Starts a running part again, with these variables beside its own. */
  async restartWith(name: string, environment: Readonly<Record<string, string>>): Promise<void> {
    await this.stop(name);
    await this.revive(name, environment);
  }

  /** Brings the system back to its usual state, whatever a scenario or a person has left: dead parts, changed ones. */
  async repair(): Promise<void> {
    const changed = changedParts(this.state());
    if (changed.length > 0) {
      const names = changed.map(({ name }) => name).join(', ');
      this.narration.action(`stop ${names}: a scenario that was cut short has left variables`);
      await stopProcesses(changed);
    }
    await this.restartDead();
  }

  async restartDead(): Promise<void> {
    const order = ['kafka', 'postgres', 'coordinator', 'participant'];
    const all = [...this.state().processes].sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role));
    // coordinators are ready only with a leader, so two dead ones must start in parallel
    for (const role of order) {
      const dead = all.filter((record) => record.role === role && !isRunning(record));
      await Promise.all(dead.map(({ name }) => this.restart(name)));
    }
  }

  async cluster(name: string): Promise<ClusterView> {
    const { status, body } = await request('GET', `${this.url(name)}/v1/cluster`, undefined, {}, SHORT_REQUEST_MS);
    if (status !== 200) throw new LabError(`${name} did not show the cluster: ${describeAnswer({ status, body })}.`);
    return body as unknown as ClusterView;
  }

  /** A membership call, at any live coordinator. */
  async changeGroup(method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<void> {
    const url = `${this.url(await this.leader())}/v1/cluster/${path}`;
    const answer = await request(method, url, body, {}, MEMBERSHIP_TIMEOUT_MS);
    if (answer.status !== 200 && answer.status !== 201)
      throw new LabError(`${method} /v1/cluster/${path} was answered ${describeAnswer(answer)}.`);
  }

  /** Adds a coordinator to the group, in place of another if one is named. */
  async addMember(name: PartName, replaces?: PartName): Promise<void> {
    const { raft } = portsOf(name, this.state().portOffset);
    const place = replaces === undefined ? {} : { replaces: nodeIdOf(replaces) };
    const addresses = {
      raftUrl: `127.0.0.1:${raft}`,
      httpUrl: httpUrl({ security: this.context.security, portOffset: this.state().portOffset }, name),
    };
    await this.changeGroup('POST', 'members', { nodeId: nodeIdOf(name), ...addresses, role: 'voter', ...place });
  }

  /** Starts the fourth coordinator and adds it to the group; returns when it serves. */
  async welcomeGuest(replaces?: PartName): Promise<void> {
    await startGuest(this.context, this.file, () => this.addMember(GUEST_NAME, replaces));
  }

  /** Ends the fourth coordinator, which is no member any more. */
  async dismissGuest(): Promise<void> {
    await dismiss(this.file, GUEST_NAME);
  }

  /** Waits for this many further commits of the load: the system works. */
  async waitForCommits(count: number, timeoutMs = 60_000): Promise<number> {
    const start = Date.now();
    const wanted = this.load.committed + count;
    if (await waitUntil(() => this.load.committed >= wanted, { timeoutMs, pollMs: 20 })) return Date.now() - start;
    throw new LabError(`The system did not commit ${count} more transfers within ${timeoutMs / 1000} s.`);
  }
}

/** `GET /v1/cluster`, as far as scenarios read it. */
export interface ClusterView {
  readonly leaderId: number | null;
  readonly term: number;
  readonly members: readonly {
    readonly nodeId: number;
    readonly role: string;
    readonly state: string;
    readonly lag: number | null;
  }[];
}

export function nodeIdOf(name: PartName): number {
  return Number(name.slice('coordinator-'.length));
}
