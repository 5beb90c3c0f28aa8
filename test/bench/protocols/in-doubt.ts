import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { SystemProcess } from '../system.js';

const POLL_MS = 10;

/** A branch that has voted yes and has not ended, as its server tells. */
export interface PreparedBranch {
  readonly gid: string;
  /** by the server's clock, milliseconds since 1970 */
  readonly preparedAtMs: number;
}

/** Looks into `pg_prepared_xacts` of each participant's database. */
export class PreparedBranches {
  private constructor(private readonly clients: readonly pg.Client[]) {}

  /** Connects to the database of each of these participants. */
  static async connect(participants: readonly SystemProcess[]): Promise<PreparedBranches> {
    const urls = new Set(participants.map(({ databaseUrl }) => databaseUrl!));
    const clients = [...urls].map((connectionString) => new pg.Client({ connectionString }));
    await Promise.all(clients.map((client) => client.connect()));
    return new PreparedBranches(clients);
  }

  async list(): Promise<PreparedBranch[]> {
    const answers = await Promise.all(
      this.clients.map((client) =>
        client.query<{ gid: string; prepared_at: number }>(
          `select gid, (extract(epoch from prepared) * 1000)::float8 as prepared_at
           from pg_prepared_xacts where database = current_database() and starts_with(gid, 'concordat:')`,
        ),
      ),
    );
    return answers.flatMap(({ rows }) => rows.map((row) => ({ gid: row.gid, preparedAtMs: row.prepared_at })));
  }

  /** Waits until there are none, so that what is measured next does not pay for what was before. */
  async none(patienceMs: number): Promise<void> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const left = await this.list();
      if (left.length === 0) return;
      if (performance.now() > deadline) {
        throw new Error(`${left.length} branches are still in doubt after ${patienceMs / 1000} s, ${left[0]!.gid} too`);
      }
      await delay(POLL_MS);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.end()));
  }
}

/**
 * When the transaction of a branch began, milliseconds since 1970: its id is a UUIDv7 of the coordinator's clock
 * (RFC 9562, 5.7), the last but one part of the gid.
 */
export function begunAtMs(gid: string): number {
  const transactionId = gid.split(':').at(-2) ?? '';
  return Number.parseInt(transactionId.replaceAll('-', '').slice(0, 12), 16);
}

/** How long branches from before a moment stayed in doubt; milliseconds after it. */
export interface Disappearance {
  /** branches that were prepared before the moment, at the first look after it */
  readonly inDoubt: number;
  /** until the last branch that was prepared before the moment was gone */
  readonly preparedBeforeMs: number;
  /** the same for transactions that began before the moment, also where a branch was prepared only afterwards */
  readonly begunBeforeMs: number;
}

/**
 * Follows what is in doubt: told what each look saw, it knows since when nothing of before the moment has been seen.
 * A branch whose `prepare` still waits in the broker may appear late, so only some time without any is the end.
 */
export class DisappearanceWatch {
  private inDoubt: number | undefined;
  private preparedBeforeMs: number | undefined;
  private begunBeforeMs: number | undefined;

  /** @param momentMs since 1970 */
  constructor(
    private readonly momentMs: number,
    private readonly quietMs: number,
  ) {}

  /** @param afterMs of the end of the look, since the moment */
  saw(branches: readonly PreparedBranch[], afterMs: number): void {
    const preparedBefore = branches.filter(({ preparedAtMs }) => preparedAtMs <= this.momentMs).length;
    const begunBefore = branches.filter(({ gid }) => begunAtMs(gid) <= this.momentMs).length;
    this.inDoubt ??= preparedBefore;
    this.preparedBeforeMs = preparedBefore > 0 ? undefined : (this.preparedBeforeMs ?? afterMs);
    this.begunBeforeMs = begunBefore > 0 ? undefined : (this.begunBeforeMs ?? afterMs);
  }

  /** Known as soon as nothing of before was seen for long enough. */
  result(nowAfterMs: number): Disappearance | undefined {
    const { inDoubt, preparedBeforeMs, begunBeforeMs } = this;
    if (inDoubt === undefined || preparedBeforeMs === undefined || begunBeforeMs === undefined) return undefined;
    if (nowAfterMs - Math.max(preparedBeforeMs, begunBeforeMs) < this.quietMs) return undefined;
    return { inDoubt, preparedBeforeMs, begunBeforeMs };
  }
}
