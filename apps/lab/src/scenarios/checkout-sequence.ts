import { table } from '../narration.js';
import { openStream } from '../rest.js';

const WAIT_MS = 10_000;

interface BranchView {
  readonly participant: string;
  readonly vote: string | null;
  readonly state: string;
}

interface TransactionEvent {
  readonly id: string;
  readonly status: string;
  readonly outcome: string | null;
  readonly endedAt: string | null;
  readonly branches: readonly BranchView[];
}

/**
 * Records the states of the transaction that runs while `work` does, as a coordinator's event stream tells them.
 *
 * @returns a row for each change, with the time since the first
 */
export async function sequenceOf(coordinatorUrl: string, work: () => Promise<unknown>): Promise<string[]> {
  const ending = new AbortController();
  const limit = AbortSignal.any([ending.signal, AbortSignal.timeout(WAIT_MS)]);
  const stream = await openStream(`${coordinatorUrl}/v1/events`, limit);
  const done = work();
  const rows: string[][] = [];
  const seen = new Map<string, number>();
  let followed: string | undefined;
  for await (const transaction of transactionsIn(stream)) {
    const names = transaction.branches.map(({ participant }) => participant);
    if (followed === undefined && names.includes('orders')) followed = transaction.id;
    if (transaction.id !== followed) continue;
    const text = describe(transaction);
    if (!seen.has(text)) {
      seen.set(text, performance.now());
      const sinceMs = performance.now() - [...seen.values()][0]!;
      rows.push([`${sinceMs.toFixed(0)} ms`, transaction.status, text]);
    }
    if (transaction.endedAt !== null) break;
  }
  ending.abort();
  await done;
  return table([['after', 'status', 'branches'], ...rows]);
}

const describe = ({ branches }: TransactionEvent): string =>
  branches.map(({ participant, vote, state }) => `${participant}: ${vote ?? 'no vote yet'}, ${state}`).join('; ');

async function* transactionsIn(stream: AsyncIterable<Uint8Array>): AsyncGenerator<TransactionEvent> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const data = /^data: ?(.*)$/m.exec(event)?.[1];
      if (data !== undefined && /^event: ?transaction$/m.test(event)) yield JSON.parse(data) as TransactionEvent;
    }
  }
}
