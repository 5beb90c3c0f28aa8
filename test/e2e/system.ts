import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import pg from 'pg';
import { startLocalSystem, type LocalSystem, type SystemProcess } from '../support/local-system.js';
import { call, callCarefully, PatientClient, type Answer, type TransactionBody } from '../support/rest.js';
import { waitFor } from '../support/wait-for.js';

/** The links between coordinators and participants. */
export type Link = 'kafka' | 'direct' | 'both';

/** A whole local system of real processes, with the questions that the end-to-end tests ask. */
export class SystemUnderTest {
  private local: LocalSystem | undefined;
  private processes: readonly SystemProcess[] = [];

  constructor(readonly link: Link) {}

  async start(): Promise<void> {
    this.local = await startLocalSystem({ link: this.link });
    this.processes = (await this.local.systemFile()).processes;
  }

  process(name: string): SystemProcess {
    const found = this.processes.find((candidate) => candidate.name === name);
    if (!found) throw new Error(`the system has no process ${name}`);
    return found;
  }

  httpUrl(name: string): string {
    return `http://127.0.0.1:${this.process(name).ports['http']}`;
  }

  coordinatorUrls(): string[] {
    return this.processes.filter(({ role }) => role === 'coordinator').map(({ name }) => this.httpUrl(name));
  }

  bankUrls(): string[] {
    return this.processes.filter(({ name }) => name.startsWith('bank-')).map(({ name }) => this.httpUrl(name));
  }

  /** The URL of one of the coordinators, leader or not. */
  node(index: number): string {
    return this.coordinatorUrls()[index]!;
  }

  /** Asks the first coordinator for a transaction in one call. */
  execute(branches: unknown, query = '', headers: Record<string, string> = {}): Promise<Answer<TransactionBody>> {
    const url = `${this.node(0)}/v1/transactions/execute${query}`;
    return callCarefully<TransactionBody>('POST', url, { branches }, headers);
  }

  client(): PatientClient {
    return new PatientClient(this.coordinatorUrls());
  }

  /** The name of the coordinator that leads, as soon as one does and all that are reachable agree. */
  async leader(): Promise<string> {
    return waitFor('a leader is known', async () => {
      for (const url of this.coordinatorUrls()) {
        const cluster = await call<{ leaderId: number | null; nodeId: number }>('GET', `${url}/v1/cluster`).catch(
          () => undefined,
        );
        const { leaderId, nodeId } = cluster?.body ?? {};
        if (leaderId !== null && leaderId === nodeId) return `coordinator-${leaderId}`;
      }
      return undefined;
    });
  }

  async balance(participant: string, account: string): Promise<number> {
    const { body } = await call<{ balance: number }>('GET', `${this.httpUrl(participant)}/accounts/${account}`);
    return body.balance;
  }

  /** Money in all three banks together, read from the databases themselves. */
  async total(): Promise<number> {
    let total = 0n;
    for (const bank of ['bank-a', 'bank-b', 'bank-c']) {
      const [row] = await this.sql<{ sum: string }>(bank, 'select coalesce(sum(balance), 0)::text as sum from account');
      total += BigInt(row!.sum);
    }
    return Number(total);
  }

  async preparedCount(): Promise<number> {
    let count = 0;
    for (const bank of ['bank-a', 'bank-b', 'bank-c']) count += (await this.prepared(bank)).length;
    return count;
  }

  async prepared(bank: string): Promise<string[]> {
    const rows = await this.sql<{ gid: string }>(
      bank,
      'select gid from pg_prepared_xacts where database = current_database()',
    );
    return rows.map(({ gid }) => gid);
  }

  async sql<Row extends pg.QueryResultRow>(bank: string, text: string): Promise<Row[]> {
    return this.withDatabase(bank, async (client) => (await client.query<Row>(text)).rows);
  }

  async withDatabase<T>(bank: string, action: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: this.process(bank).databaseUrl! });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await action(client);
    } finally {
      await client.end();
    }
  }

  async transaction(id: string): Promise<TransactionBody> {
    const { body } = await call<TransactionBody>('GET', `${this.coordinatorUrls()[0]}/v1/transactions/${id}`);
    return body;
  }

  /** Arms a failpoint in a process; it acts once. */
  async arm(name: string, specification: string): Promise<void> {
    const answer = await call('PUT', `${this.httpUrl(name)}/debug/failpoints`, { arm: specification });
    if (answer.status !== 200) throw new Error(`${name} did not arm ${specification}: ${JSON.stringify(answer.body)}`);
  }

  kill(name: string): void {
    process.kill(this.process(name).pid, 'SIGKILL');
  }

  async waitUntilDead(name: string): Promise<void> {
    const { pid } = this.process(name);
    await waitFor(`${name} is dead`, () => !isAlive(pid), { timeoutMs: 30_000 });
  }

  /** Starts parts that have died; resolves with what the command said. */
  async restart(...names: readonly string[]): Promise<string> {
    if (!this.local) throw new Error('the system is not started');
    const said = await this.local.restart(...names);
    this.processes = (await this.local.systemFile()).processes;
    return said;
  }

  /** Nothing is prepared or in doubt any more. */
  async settled(): Promise<void> {
    await waitFor('nothing is prepared any more', async () => (await this.preparedCount()) === 0, {
      timeoutMs: 60_000,
      intervalMs: 100,
    });
    await waitFor(
      'nothing is in doubt any more',
      async () => {
        for (const url of this.coordinatorUrls()) {
          const answer = await call<{ items: unknown[] }>('GET', `${url}/v1/in-doubt`).catch(() => undefined);
          if (answer?.status === 200) return answer.body.items.length === 0;
        }
        return false;
      },
      { timeoutMs: 30_000, intervalMs: 100 },
    );
  }

  async stop(): Promise<void> {
    await this.local?.stop();
  }
}

/** Starts a system for the tests of this block; after each of them all has ended, and the money is unchanged. */
export function useSystem(link: Link): SystemUnderTest {
  const system = new SystemUnderTest(link);
  let opening = 0;
  beforeAll(async () => {
    await system.start();
    opening = await system.total();
  });
  afterAll(() => system.stop());
  afterEach(async () => {
    await system.settled();
    expect(await system.total()).toBe(opening);
  });
  return system;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Every one of them answers like this, be it after a while. */
export async function everywhere(
  urls: readonly string[],
  what: string,
  path: string,
  expected: { readonly status: number; readonly body: object },
): Promise<void> {
  for (const url of urls) {
    let last: object | undefined;
    const asked = waitFor(
      `${url} ${what}`,
      async () => {
        last = await call('GET', `${url}${path}`).catch(() => undefined); // it may be starting
        return isLike(last, expected);
      },
      { timeoutMs: 60_000, intervalMs: 100 },
    );
    await asked.catch(() => expect({ url, what, ...last }).toMatchObject(expected)); // shows what is different
  }
}

function isLike(said: object | undefined, expected: object): boolean {
  try {
    expect(said).toMatchObject(expected);
    return true;
  } catch {
    return false;
  }
}

/** Every node tells the same of a transaction that has ended. */
export async function agreed(system: SystemUnderTest, id: string): Promise<void> {
  await waitFor(
    `all nodes agree about ${id}`,
    async () => {
      const answers = await Promise.all(
        system
          .coordinatorUrls()
          .map((url) =>
            call<TransactionBody>('GET', `${url}/v1/transactions/${id}?consistency=stale`).catch(() => undefined),
          ),
      );
      const statuses = answers.map((answer) => answer?.body.status);
      return statuses.every(
        (status) => status !== undefined && ['committed', 'aborted'].includes(status) && status === statuses[0],
      );
    },
    { timeoutMs: 30_000, intervalMs: 100 },
  );
}
