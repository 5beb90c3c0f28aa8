import type { Attempt } from '../closed-loop.js';
import { RawBound } from '../raw-bound.js';
import { RestClients } from '../rest-client.js';
import type { Leadership } from '../rows/leadership.js';
import type { RunningSystem } from '../system.js';
import { RANDOM_ROWS, randomAccounts } from '../transfer/main.js';
import type { TransferPath } from './service.js';
import { transferOrder, type BenchServices } from './services.js';

/**
 * `raw`: two-phase commit by the client itself. `local`: the services of the interactive transactions, each with a local
 * transaction of its own, so nothing is atomic: what the services and the HTTP between them can carry. `one-shot`: one
 * `execute`, which answers when it is decided. `interactive`: a service begins and calls another one. `interactive,
 * decided`: the same, with `waitFor: 'decided'`.
 */
export const CONTENDERS = ['raw', 'local', 'one-shot', 'interactive', 'interactive, decided'] as const;
export type ContenderName = (typeof CONTENDERS)[number];

export interface Contender {
  readonly name: ContenderName;
  /** moves 1 between two random accounts of two databases */
  readonly attempt: Attempt;
}

/** What the contenders work on. */
export interface Sides {
  readonly system: RunningSystem;
  readonly leadership: Leadership;
  readonly services: BenchServices;
}

/** All contenders, with so many connections each; ends these when the work is done. */
export async function withContenders<T>(
  { system, leadership, services }: Sides,
  clients: number,
  work: (contenders: readonly Contender[]) => Promise<T>,
): Promise<T> {
  await leadership.settle();
  const raw = await RawBound.connect(system.databaseUrls(), clients);
  const rest = new RestClients(leadership.url, clients);
  const ended = services.clients('orders', clients);
  const decided = services.clients('orders-decided', clients);
  const transfer = (service: RestClients, path: TransferPath = '/transfers'): Attempt =>
    service.post(path, () => transferOrder(randomAccounts(), 1));
  try {
    return await work([
      { name: 'raw', attempt: raw.attempt(RANDOM_ROWS.rawOrder, RANDOM_ROWS.accounts) },
      { name: 'local', attempt: transfer(ended, '/local-transfers') },
      { name: 'one-shot', attempt: rest.transfer(RANDOM_ROWS.accounts, RANDOM_ROWS.withKeys) },
      { name: 'interactive', attempt: transfer(ended) },
      { name: 'interactive, decided', attempt: transfer(decided) },
    ]);
  } finally {
    await Promise.all([raw, rest, ended, decided].map((one) => one.close()));
  }
}
