import { setTimeout as delay } from 'node:timers/promises';
import type { RunningSystem } from '../system.js';
import { transactionBody, type Cell } from './cells.js';

const PATIENCE_MS = 30_000;
const POLL_MS = 100;
/** Where the account is the first that a benchmark opens. */
const ACCOUNT = 'bench-0';

/** Participants announce themselves when they start; it takes a moment until the leader has heard of all. */
export async function untilKnown(system: RunningSystem, participants: number): Promise<void> {
  const url = await system.leaderUrl();
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
