import { LabError } from '../../lab-error.js';
import { waitUntil } from '../../local-system/wait.js';
import { request } from '../../rest.js';
import type { ScenarioLab } from '../scenario-lab.js';
import type { Transfer } from '../truth.js';
import { addressOf } from '../wire.js';

const FROM = { bank: 'bank-a', account: 'acc-3' } as const;
const TO = { bank: 'bank-b', account: 'acc-7' } as const;
const SEEN_TIMEOUT_MS = 30_000;

/** A transfer that waits: prepared at bank-a, without the vote of bank-b, which is paused. */
export interface Target {
  readonly transactionId: string;
  /** of bank-a, prepared */
  readonly prepared: { readonly branchId: string; readonly gid: string };
  /** of bank-b, which has not voted */
  readonly missing: { readonly branchId: string };
  /** Whether it still waits, as nobody has moved it. */
  isWaiting(): Promise<boolean>;
  /** Lets bank-b go on; returns how the transfer has ended for its client. */
  release(): Promise<string>;
}

/** Pauses bank-b, begins the transfer, and waits until bank-a has prepared. */
export async function openTarget(lab: ScenarioLab): Promise<Target> {
  lab.pause('bank-b');
  const before = lab.load.transfers.length;
  const ending = lab.load.one({ from: FROM, to: TO, amount: 5 });
  ending.catch(() => undefined); // handled by `release`
  try {
    const isOwn = ({ from, to, amount }: Transfer): boolean => from === FROM && to === TO && amount === 5;
    const own = (): Transfer | undefined => lab.load.transfers.slice(before).find(isOwn);
    await waitUntil(() => own()?.id !== undefined, { timeoutMs: SEEN_TIMEOUT_MS });
    const transactionId = own()?.id;
    if (transactionId === undefined) throw new LabError('A transfer to a bank that is paused was not answered.');
    const gid = await preparedGid(lab, transactionId);
    const { branchId } = addressOf(gid);
    return {
      transactionId,
      prepared: { branchId, gid },
      missing: { branchId: await branchOf(lab, transactionId, 'bank-b') },
      isWaiting: async () => {
        const status = await statusOf(lab, transactionId);
        return status === 'preparing' && (await lab.databases.prepared('bank-a')).includes(gid);
      },
      release: async () => {
        lab.wake('bank-b');
        return (await ending).told ?? 'nothing';
      },
    };
  } catch (error) {
    lab.wake('bank-b');
    throw error;
  }
}

async function preparedGid(lab: ScenarioLab, transactionId: string): Promise<string> {
  let found: string | undefined;
  const isThere = async (): Promise<boolean> => {
    found = (await lab.databases.prepared('bank-a')).find((gid) => addressOf(gid).transactionId === transactionId);
    return found !== undefined;
  };
  await waitUntil(isThere, { timeoutMs: SEEN_TIMEOUT_MS, pollMs: 50 });
  if (found !== undefined) return found;
  throw new LabError(`bank-a did not prepare its branch of ${transactionId}.`);
}

/** The branch of a bank in a transaction. */
export async function branchOf(lab: ScenarioLab, transactionId: string, bank: string): Promise<string> {
  const { body } = await request('GET', `${lab.url(await lab.leader())}/v1/transactions/${transactionId}`);
  const branches = body['branches'] as readonly { readonly participant: string; readonly branchId: string }[];
  return branches.find(({ participant }) => participant === bank)!.branchId;
}

async function statusOf(lab: ScenarioLab, transactionId: string): Promise<string> {
  const { body } = await request('GET', `${lab.url(await lab.leader())}/v1/transactions/${transactionId}`);
  return String(body['status']);
}
