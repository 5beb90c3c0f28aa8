import { randomUUID } from 'node:crypto';
import { EntitySchema } from 'typeorm';
import { formatGid } from '@concordat/commit-protocol';
import { BranchRefusedError } from '../../runtime/errors.js';
import type { TwoPhaseWork } from '../../runtime/resource-manager.js';
import type { Work } from '../session/context.js';

export interface Item {
  id: string;
  quantity: number;
}
export const ITEM = new EntitySchema<Item>({
  name: 'item',
  columns: { id: { type: 'text', primary: true }, quantity: { type: 'int' } },
});

export function branch(change: Partial<TwoPhaseWork> = {}): TwoPhaseWork {
  return {
    protocol: '2pc',
    transactionId: randomUUID(),
    branchId: randomUUID(),
    deadline: Date.now() + 20_000,
    timeoutMs: 20_000,
    preparedByService: false,
    ...change,
  };
}

export const take =
  (id = 'i0'): Work =>
  async ({ client }) => {
    const { rows } = await client.query<Item>(
      'UPDATE item SET quantity = quantity - 1 WHERE id = $1 RETURNING quantity',
      [id],
    );
    return [rows[0]?.quantity ?? null];
  };

/** What the runtime does for a branch without operations, which its service should have prepared. */
export const notPrepared: Work = () => Promise.reject(new BranchRefusedError('NOT_PREPARED', 'it is not there'));

export const gidOf = ({ transactionId, branchId }: TwoPhaseWork): string => formatGid('test', transactionId, branchId);

/** A promise that the test settles, to hold a handler at a known place. */
export function gate(): { passed: Promise<void>; open: () => void } {
  let release: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => (release = resolve));
  return { passed, open: () => release() };
}
