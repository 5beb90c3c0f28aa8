import { describe, expect, it } from '@jest/globals';
import { branchError } from '@concordat/commit-protocol';
import { HELD_GRACE_MS } from './held-branch.js';
import { address, createSystem, decide, prepare, short, turns } from './testing/runtime-system.js';

const TIMEOUT_MS = 10_000;

async function holding(limits: Parameters<typeof createSystem>[0] = {}) {
  const system = await createSystem(limits);
  const hold = (n: number) =>
    system.runtime.hold({ ...address(n), deadline: system.clock.now() + TIMEOUT_MS, timeoutMs: TIMEOUT_MS });
  const { calls } = system.resourceManager;
  return { ...system, hold, calls };
}

const prepareHeld = (n: number, heldBy = 'bank-a-1') =>
  ({ ...prepare(n), operations: [], heldBy }) as ReturnType<typeof prepare>;

describe('a held branch', () => {
  it('is prepared in its session when the leader asks, and ends by the decision', async () => {
    const { hold, send, run, heard, calls, runtime } = await holding();
    const branch = await hold(1);
    expect([branch.context, runtime.metrics().heldBranches]).toEqual(['held context', 1]);
    await send(prepareHeld(1));
    await send(decide(1));
    await run(30);
    expect(heard.map(short)).toEqual(['vote yes 1', 'done committed 1']);
    expect(calls).toEqual(['hold 1', 'prepare held 1', 'commit 1']);
    expect([await branch.ended, runtime.metrics().heldBranches]).toEqual(['prepared', 0]);
  });

  it('repeats its vote, however often it is asked', async () => {
    const { hold, send, heard, calls } = await holding();
    await hold(1);
    await send(prepareHeld(1), prepareHeld(1));
    await send(prepareHeld(1));
    expect(heard.map(short)).toEqual(['vote yes 1', 'vote yes 1']);
    expect(calls).toEqual(['hold 1', 'prepare held 1']);
  });

  it('of another instance is left alone', async () => {
    const { send, heard, calls } = await holding();
    await send(prepareHeld(1, 'bank-a-2'));
    expect([heard, calls]).toEqual([[], []]);
  });

  it('whose session this process does not have is looked for in the database, never run', async () => {
    const { send, resourceManager } = await holding();
    await send(prepareHeld(1));
    expect(resourceManager.works).toMatchObject([{ preparedByService: true }]);
  });

  it('that is doomed votes no with the first reason', async () => {
    const { hold, send, heard, calls } = await holding();
    const branch = await hold(1);
    branch.doom(branchError('SOLD_OUT', 'nothing left'));
    branch.doom(branchError('OTHER', 'later'));
    await send(prepareHeld(1));
    expect(heard).toMatchObject([{ vote: 'no', error: { code: 'SOLD_OUT' } }]);
    expect(calls).toEqual(['hold 1', 'refuse held with SOLD_OUT 1']);
    expect(await branch.ended).toBe('aborted');
  });

  it('whose session the database ends is doomed with the reason, and frees its place', async () => {
    const { hold, send, heard, runtime, resourceManager } = await holding();
    const branch = await hold(1);
    resourceManager.sessions.get(branch.branchId)?.lose(branchError('DATABASE_SESSION_ENDED', 'it was ended'));
    await turns();
    expect([branch.doomed?.code, runtime.metrics().heldBranches]).toEqual(['DATABASE_SESSION_ENDED', 0]);
    await send(prepareHeld(1));
    expect(heard).toMatchObject([{ vote: 'no', error: { code: 'DATABASE_SESSION_ENDED' } }]);
  });

  it('is closed at once by an abort, before the tombstone', async () => {
    const { hold, send, run, heard, calls } = await holding();
    const branch = await hold(1);
    await send(decide(1, 'abort'));
    await run(30);
    expect(heard.map(short)).toEqual(['done aborted 1']);
    expect(calls).toEqual(['hold 1', 'close held 1', 'abort 1']);
    expect(await branch.ended).toBe('aborted');
  });

  it('does not wait for its last statements once the abort is known', async () => {
    const { hold, send, run, heard, resourceManager } = await holding();
    const branch = await hold(1);
    resourceManager.sessions.get(branch.branchId)!.draining = new Promise(() => undefined);
    await send(prepareHeld(1));
    expect(heard).toEqual([]);
    await send(decide(1, 'abort'));
    await run(30);
    expect(heard.map(short)).toEqual(['done aborted 1']);
  });

  it('is rolled back at its deadline and the grace, when nobody asks', async () => {
    const { hold, clock, calls } = await holding();
    const branch = await hold(1);
    clock.advance(TIMEOUT_MS + HELD_GRACE_MS - 1);
    await turns();
    expect(calls).toEqual(['hold 1']);
    clock.advance(1);
    await turns();
    expect(calls).toEqual(['hold 1', 'refuse held with DEADLINE_EXCEEDED 1']);
    expect(await branch.ended).toBe('aborted');
  });

  it('is rolled back by its holder once, and a later prepare finds the tombstone', async () => {
    const { hold, send, calls, resourceManager } = await holding();
    const branch = await hold(1);
    await branch.rollBack(branchError('FAILED', 'the method failed'));
    await branch.rollBack(branchError('FAILED', 'again'));
    expect(calls).toEqual(['hold 1', 'refuse held with FAILED 1']);
    await send(prepareHeld(1));
    expect(resourceManager.works).toMatchObject([{ preparedByService: true }]);
  });

  it('prepares for its service where no instance can be addressed', async () => {
    const { hold, calls } = await holding();
    const branch = await hold(1);
    expect(await branch.prepare([{ order: 7 }])).toEqual({ vote: 'yes', results: [{ order: 7 }] });
    expect(await branch.prepare()).toEqual({ vote: 'yes', results: [{ order: 7 }] });
    expect([calls, await branch.ended]).toEqual([['hold 1', 'prepare held 1'], 'prepared']);
  });

  it('is rolled back when its process stops, and none is held after that', async () => {
    const { hold, calls, runtime, run } = await holding();
    await hold(1);
    void runtime.stop();
    await run(50);
    expect(calls).toEqual(['hold 1', 'refuse held with INSTANCE_STOPPED 1']);
    await expect(hold(2)).rejects.toMatchObject({ code: 'PARTICIPANT_STOPPED' });
  });

  it('leaves work the rest of the connections', async () => {
    const { hold, send, heard, run, resourceManager } = await holding({ workConcurrency: 2, heldBranches: 1 });
    const branch = await hold(1);
    await send(prepare(2), prepare(3));
    await run(50);
    expect(heard.map(short)).toEqual(['vote yes 2', 'vote yes 3']);
    await expect(
      resourceManager.sessions.get(branch.branchId)?.prepare({ ...address(1) } as never, []),
    ).resolves.toMatchObject({ vote: 'yes' });
  });

  it('has half of the places by default', async () => {
    const { hold, runtime } = await holding({ workConcurrency: 4 });
    await hold(1);
    await hold(2);
    void hold(3).catch(() => undefined);
    await turns();
    expect(runtime.metrics()).toMatchObject({ heldBranches: 2, heldBranchesWaiting: 1 });
  });

  it('may be held once', async () => {
    const { hold } = await holding();
    await hold(1);
    await expect(hold(1)).rejects.toMatchObject({ code: 'BRANCH_OCCUPIED' });
  });
});
