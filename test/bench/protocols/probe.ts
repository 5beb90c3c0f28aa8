import { setTimeout as delay } from 'node:timers/promises';
import type { RunningSystem } from '../system.js';
import { transactionBody, type Cell, type ProtocolName } from './cells.js';

const PATIENCE_MS = 30_000;
const POLL_MS = 100;
/** Where the account is the first that a benchmark opens. */
const ACCOUNT = 'bench-0';

/** A protocol that the coordinator does not speak, in its own words. */
export interface Refusal {
  readonly protocol: ProtocolName;
  readonly reason: string;
}

/**
 * Tries each protocol once over all participants, after every one of them is known to the coordinators.
 *
 * @returns those that the coordinator has not implemented (501)
 * @throws Error when one is answered in any other way than by a commit
 */
export async function probe(
  system: RunningSystem,
  protocols: readonly ProtocolName[],
  participants: number,
): Promise<Refusal[]> {
  const url = await system.leaderUrl();
  await known(url, participants);
  const refusals: Refusal[] = [];
  for (const protocol of protocols) {
    const branches = protocol === 'one-phase' ? 1 : participants;
    const { status, text } = await execute(url, { protocol, branches });
    if (status === 501) refusals.push({ protocol, reason: sentence(status, text) });
    else if (status !== 200) throw new Error(`${protocol} with ${branches} branches: ${sentence(status, text)}`);
  }
  if (refusals.length === protocols.length) throw new Error('the coordinator speaks none of these protocols');
  return refusals;
}

/** Participants announce themselves when they start; it takes a moment until the leader has heard of all. */
async function known(url: string, participants: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const { status, text } = await execute(url, { protocol: 'read-only', branches: participants });
    if (status === 200) return;
    if (performance.now() > deadline) {
      throw new Error(`reading at ${participants} participants fails: ${sentence(status, text)}`);
    }
    await delay(POLL_MS);
  }
}

async function execute(url: string, cell: Cell): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${url}/v1/transactions/execute`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: transactionBody(cell, ACCOUNT),
  });
  return { status: answer.status, text: await answer.text() };
}

function sentence(status: number, text: string): string {
  const { code, detail } = JSON.parse(text) as { code?: string; detail?: string };
  return `${status} ${code ?? ''}${detail === undefined ? '' : `: ${detail}`}`;
}
