import { setTimeout as delay } from 'node:timers/promises';
import type { LocalSecurity } from '../../local-system/security/local-security.js';
import { describeAnswer } from '../../rest.js';
import { reasonOf } from '../intruder/attempts.js';
import { callAs, type Caller } from '../intruder/callers.js';

const PAUSE_MS = 50;

/** The kinds of credentials of the clients that ask all the while. */
export type Kind = 'token' | 'jwt' | 'certificate';

/**
 * Clients that ask every coordinator in turn, each by a credential of its own kind, and expect every single answer to be
 * right: unlike the load they never ask again.
 */
export class Probes {
  readonly failures: string[] = [];
  answered = 0;
  private running = false;
  private workers: Promise<void>[] = [];

  /** @param callers replaced in place when a credential is */
  constructor(
    private readonly security: LocalSecurity,
    private readonly urls: readonly string[],
    readonly callers: Record<Kind, Caller>,
  ) {}

  start(): void {
    this.running = true;
    this.workers = (Object.keys(this.callers) as Kind[]).map((kind) => this.ask(kind));
  }

  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.workers);
  }

  private async ask(kind: Kind): Promise<void> {
    for (let turn = 0; this.running; turn++) {
      const url = this.urls[turn % this.urls.length]!;
      const problem = await this.problemAt(url, this.callers[kind]);
      if (problem === undefined) this.answered++;
      else this.failures.push(`${kind} at ${url}: ${problem}`);
      await delay(PAUSE_MS);
    }
  }

  private async problemAt(url: string, caller: Caller): Promise<string | undefined> {
    try {
      const answer = await callAs(this.security, caller, `${url}/v1/transactions?limit=1`);
      return answer.status === 200 ? undefined : describeAnswer(answer);
    } catch (error) {
      return reasonOf(error);
    }
  }
}
