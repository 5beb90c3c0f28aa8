import { describe, expect, it } from '@jest/globals';
import { SystemClock, type JsonValue } from '@concordat/foundation';
import { resourceManagerSuite } from '../../../../test/conformance/resource-manager-suite.js';
import { MemoryData, type MemoryContext } from './memory-data.js';
import { MemoryResourceManager } from './memory-resource-manager.js';

const clock = new SystemClock();
const id = (n: number): string => `01890000-0000-7000-8000-${String(n).padStart(12, '0')}`;

resourceManagerSuite('the memory', async () => {
  const data = new MemoryData();
  return {
    manager: new MemoryResourceManager(data, 'suite', clock),
    write: (context: MemoryContext, key, value) => context.set(key, value),
    read: async (key) => data.get(key) as number | undefined,
    stop: async () => undefined,
  };
});

describe('a branch in memory', () => {
  const data = new MemoryData();
  const manager = new MemoryResourceManager(data, 'suite', clock);
  let next = 0;
  const work = (timeoutMs = 10_000) => ({
    transactionId: id(++next),
    branchId: id(++next),
    deadline: clock.now() + timeoutMs,
    timeoutMs,
    preparedByService: false,
  });

  it('refuses three phases with a sentence that says what to do', async () => {
    const branch = { ...work(), protocol: '3pc' as const, isFirstSending: true, acceptors: [] };
    expect(await manager.prepare(branch, async () => [])).toMatchObject({
      vote: 'no',
      error: { code: 'THREE_PHASES_NEED_A_DATABASE', message: expect.stringContaining('use startTestDatabases') },
    });
  });

  it('reads its own changes, and hands out copies', async () => {
    const branch = { ...work(), protocol: '2pc' as const };
    data.set('list', [1]);
    await manager.commitOnePhase(branch, async (context) => {
      const list = (await context.get('list')) as JsonValue[];
      list.push(2);
      expect(await context.get('list')).toEqual([1]);
      await context.set('list', list);
      list.push(3);
      expect(await context.get('list')).toEqual([1, 2]);
      await context.delete('list');
      expect(await context.get('list')).toBeUndefined();
      await context.set('list', ['new']);
      return [];
    });
    expect(data.entries()).toEqual({ list: ['new'] });
  });

  it('refuses a handler that does not end, and what it does afterwards', async () => {
    const branch = { ...work(50), protocol: '2pc' as const };
    let later: Promise<unknown> | undefined;
    const result = await manager.prepare(branch, async (context) => {
      later = new Promise((resolve) => void clock.setTimer(200, () => resolve(undefined)))
        .then(() => context.set('late', 1))
        .catch((error: unknown) => error);
      await new Promise(() => undefined);
      return [];
    });
    expect(result).toMatchObject({ vote: 'no', error: { code: 'HANDLER_TIMEOUT' } });
    expect(await later).toMatchObject({
      code: 'BRANCH_ENDED',
      message: expect.stringContaining('await all that it does'),
    });
    expect(data.get('late')).toBeUndefined();
  });

  it('does not vote yes when it was aborted while it worked', async () => {
    const branch = { ...work(), protocol: '2pc' as const };
    const result = await manager.prepare(branch, async (context) => {
      await context.set('both', 1);
      await manager.abort(branch);
      return [];
    });
    expect(result).toMatchObject({ vote: 'no', error: { code: 'BRANCH_ABORTED' } });
    expect(data.get('both')).toBeUndefined();
  });
});
