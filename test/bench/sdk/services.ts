import path from 'node:path';
import { RestClients, type Accounts } from '../rest-client.js';
import { STARTS_AT_A_TIME } from '../participants.js';
import type { RunningSystem } from '../system.js';
import { until } from '../until.js';
import type { TransferOrder } from './service.js';

const PROGRAM = path.resolve(import.meta.dirname, 'service-main.js');
const FIRST_HTTP_PORT = 8_140;

/** The services that begin transactions; the second one waits for the decision only. */
export const BEGINNERS = ['orders', 'orders-decided'] as const;
export type Beginner = (typeof BEGINNERS)[number];

interface Service {
  readonly name: string;
  readonly http: number;
}

/** The services of the benchmark beside one system: two that begin, and those that they call. */
export class BenchServices {
  private readonly callees: readonly Service[];
  private readonly beginners: readonly Service[];
  private started = 0;

  /** @param callees services that a transaction calls at most */
  constructor(
    private readonly system: RunningSystem,
    portOffset: number,
    callees: number,
  ) {
    const first = FIRST_HTTP_PORT + portOffset;
    const count = BEGINNERS.length;
    this.beginners = BEGINNERS.map((name, place) => ({ name, http: first + place }));
    this.callees = Array.from({ length: callees }, (_, place) => ({
      name: place === 0 ? 'inventory' : `inventory-${place + 1}`,
      http: first + count + place,
    }));
  }

  /** Starts those that begin, and the first that they call. */
  async start(): Promise<void> {
    const callees = this.callees.map(hostOf).join(',');
    for (const service of this.beginners) {
      const waitFor = service.name === 'orders-decided' ? 'decided' : 'ended';
      await this.add(service, 0, { BENCH_CALLEES: callees, BENCH_WAIT_FOR: waitFor });
    }
    await this.startCallees(1);
  }

  /** Starts further ones until so many can be called. */
  async startCallees(count: number): Promise<void> {
    while (this.started < count) {
      const next = this.callees.slice(this.started, Math.min(count, this.started + STARTS_AT_A_TIME));
      // bank-a and its like have the first server, so the first callee has the second one
      await Promise.all(next.map((service, place) => this.add(service, this.started + place + 1, {})));
      this.started += next.length;
    }
    await this.untilCommitting(count);
  }

  /** Clients of one that begins. */
  clients(beginner: Beginner, count: number): RestClients {
    const { http } = this.beginners.find(({ name }) => name === beginner)!;
    return new RestClients(`http://127.0.0.1:${http}`, count);
  }

  private async add({ name, http }: Service, server: number, environment: NodeJS.ProcessEnv): Promise<void> {
    await this.system.addService({ name, program: PROGRAM, http, server, environment });
  }

  /** Participants announce themselves when they start; it takes a moment until the leader has heard of all. */
  private async untilCommitting(callees: number): Promise<void> {
    for (const beginner of BEGINNERS) {
      const clients = this.clients(beginner, 1);
      const attempt = clients.post('/transfers', () => transferOrder(['bench-0', 'bench-0'], callees));
      try {
        await until(
          async () => ((await attempt(0)) === undefined ? true : undefined),
          `a transaction of ${beginner} and ${callees} called services to commit (see the logs of the services)`,
        );
      } finally {
        await clients.close();
      }
    }
  }
}

/** The body of a request to a service that begins. */
export function transferOrder([from, to]: Accounts, callees: number): string {
  return JSON.stringify({ from, to, callees } satisfies TransferOrder);
}

function hostOf({ http }: Service): string {
  return `127.0.0.1:${http}`;
}
