import pg from 'pg';
import type { RunningSystem, SystemProcess } from '../system.js';
import type { SystemAccess } from '../system-access.js';

/** What the parts of a system tell about themselves; undefined where a part has no such thing. */
export interface Counters {
  /** requests to the broker */
  readonly kafkaRequests?: number;
  /** AppendEntries with entries, to all peers together */
  readonly appends?: number;
  readonly emptyAppends?: number;
  /** of the coordinators' logs, and of the write-ahead logs of PostgreSQL */
  readonly fsyncs?: number;
}

export const COUNTERS = ['kafkaRequests', 'appends', 'emptyAppends', 'fsyncs'] as const satisfies (keyof Counters)[];

/** Reads the counters of a system's parts: `/metrics` of coordinators and participants, statistics of PostgreSQL. */
export class ProductCounters {
  private constructor(
    private readonly access: SystemAccess,
    private readonly services: readonly SystemProcess[],
    private readonly servers: ReadonlyMap<string, pg.Client>,
  ) {}

  static async of(system: RunningSystem): Promise<ProductCounters> {
    const services = system.processes.filter(({ role }) => role === 'coordinator' || role === 'participant');
    const servers = new Map<string, pg.Client>();
    const access = system.access();
    for (const server of system.processes) {
      if (server.role !== 'postgres') continue;
      const client = new pg.Client({ connectionString: access.superuserUrl(server) });
      client.on('error', () => undefined); // the query that was running rejects
      await client.connect();
      servers.set(server.name, client);
    }
    return new ProductCounters(access, services, servers);
  }

  /** By the names of the processes. */
  async read(): Promise<ReadonlyMap<string, Counters>> {
    const result = new Map<string, Counters>();
    for (const service of this.services) {
      const { name, role } = service;
      const text = await (await this.access.fetch(`${this.access.urlOf(service)}/metrics`)).text();
      result.set(name, role === 'coordinator' ? ofCoordinator(text) : ofParticipant(text));
    }
    for (const [name, client] of this.servers) result.set(name, { fsyncs: await walSyncs(client) });
    return result;
  }

  async close(): Promise<void> {
    await Promise.all([...this.servers.values()].map((client) => client.end()));
  }
}

function ofCoordinator(text: string): Counters {
  return {
    kafkaRequests: sumOf(text, 'concordat_broker_requests_total'),
    appends: sumOf(text, 'concordat_raft_sent_appends_total', 'content="entries"'),
    emptyAppends: sumOf(text, 'concordat_raft_sent_appends_total', 'content="none"'),
    fsyncs: sumOf(text, 'concordat_raft_log_syncs_total'),
  };
}

function ofParticipant(text: string): Counters {
  return { kafkaRequests: sumOf(text, 'concordat_participant_broker_requests_total') };
}

/** All values of a metric in Prometheus text, or those with a label; 0 for none. */
export function sumOf(text: string, metric: string, label = ''): number {
  let sum = 0;
  for (const line of text.split('\n')) {
    const [, name, labels = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === metric && labels.includes(label)) sum += Number(value);
  }
  return sum;
}

/** PostgreSQL 18 counts them among its I/O, older versions in a view of their own. */
async function walSyncs(client: pg.Client): Promise<number> {
  const { rows: versions } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  );
  const query =
    versions[0]!.version >= 180_000
      ? `select coalesce(sum(fsyncs), 0)::float8 as syncs from pg_stat_io where object = 'wal'`
      : `select wal_sync::float8 as syncs from pg_stat_wal`;
  const { rows } = await client.query<{ syncs: number }>(query);
  return rows[0]!.syncs;
}

/** What was counted between two readings, for one of so many transactions. */
export function countersPerTransfer(
  before: ReadonlyMap<string, Counters>,
  after: ReadonlyMap<string, Counters>,
  transfers: number,
): Record<string, Counters> {
  const result: Record<string, Counters> = {};
  for (const [name, counters] of after) {
    const entries = COUNTERS.flatMap((counter) => {
      const now = counters[counter];
      return now === undefined ? [] : [[counter, (now - (before.get(name)?.[counter] ?? 0)) / transfers] as const];
    });
    result[name] = Object.fromEntries(entries);
  }
  return result;
}
