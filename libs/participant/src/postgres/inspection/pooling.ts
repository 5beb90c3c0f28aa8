import type { ClientBase } from 'pg';
import { withTimeLimit, type Clock } from '@concordat/foundation';
import type { Pooling } from '../../checks/database-facts.js';

/** A pooler that has no session left answers only when one is given back. */
const WAIT_MS = 1_000;
const LIMIT_MS = 5_000;

export interface PoolingPorts {
  readonly clock: Clock;
  /** the process of the server behind a connection at this moment */
  readonly backend: (client: ClientBase) => Promise<number>;
  /** a second connection by the same URL; the caller closes it */
  readonly openSecond: () => Promise<ClientBase>;
}

/**
 * Whether a pooler stands before the server, and how long it lends a session. A server tells each connection the number
 * of its process when it opens; a pooler makes that number up. A second connection is opened only then.
 */
export async function findPooling(first: ClientBase, ports: PoolingPorts): Promise<Pooling> {
  const { processID } = first as unknown as { readonly processID?: number | null };
  const backend = await ports.backend(first);
  if (processID === backend) return 'direct';
  try {
    const search = ports.openSecond().then((second) => sharesSessions(first, second, backend, ports));
    return (await withTimeLimit(ports.clock, LIMIT_MS, 'the look for a pooler', search)) ? 'transaction' : 'session';
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeLimitError') return 'unknown';
    throw error;
  }
}

/**
 * Whether a connection changes its session between transactions: it must, if the other one holds the session that it
 * had, and may, when several are free, whichever the pooler prefers.
 */
async function sharesSessions(
  first: ClientBase,
  second: ClientBase,
  firstBackend: number,
  { clock, backend }: PoolingPorts,
): Promise<boolean> {
  const ofFirst = new Set([firstBackend]);
  const ofSecond = new Set([await backend(second)]);
  await first.query('BEGIN');
  ofFirst.add(await backend(first));
  const meanwhile = backend(second);
  const isAnswered = await withTimeLimit(clock, WAIT_MS, 'an answer', meanwhile).then(
    () => true,
    () => false,
  );
  await first.query('COMMIT');
  ofSecond.add(await meanwhile);
  for (let turn = 0; turn < 2; turn++) {
    await second.query('BEGIN');
    ofSecond.add(await backend(second));
    await second.query('COMMIT');
  }
  const isShared = [...ofFirst].some((process) => ofSecond.has(process));
  return !isAnswered || isShared || ofFirst.size > 1 || ofSecond.size > 1;
}
