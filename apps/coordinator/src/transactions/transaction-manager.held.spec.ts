import { describe, expect, it } from '@jest/globals';
import type { InstanceStreams } from '@concordat/messaging';
import { HOLDER_CHECK_MS } from './leadership/holder-watch.js';
import { DEFAULT_TRANSACTION_OPTIONS } from './options.js';
import { DECIDED, Harness, work } from './testing/harness.js';

const GRACE_MS = DEFAULT_TRANSACTION_OPTIONS.instanceGraceMs;

/** Coordinators with direct streams, to which these processes of `bank-a` are connected. */
function withStreams(...instances: readonly string[]) {
  const harness = new Harness();
  const connected = new Set(instances);
  const streams: InstanceStreams = {
    has: (participant, instance) => participant === 'bank-a' && connected.has(instance),
  };
  harness.bus.instances = streams;
  return { harness, connected };
}

async function held(harness: Harness, instance = 'a-1', participant = 'bank-a') {
  const id = await harness.begin();
  const branch = { participant, branchId: harness.newId(), instance };
  return { id, branch, enlisted: await harness.manager.enlist(id, branch) };
}

/** Passes in steps, so that looks at the streams happen in their time. */
async function pass(harness: Harness, durationMs: number): Promise<void> {
  for (let left = durationMs; left > 0; left -= HOLDER_CHECK_MS) await harness.pass(Math.min(left, HOLDER_CHECK_MS));
}

describe('the enlistment of a held branch', () => {
  it('adds it, and repeats its answer', async () => {
    const { harness } = withStreams('a-1');
    const { id, branch, enlisted } = await held(harness);
    expect(enlisted).toMatchObject({
      created: true,
      branch: { branchId: branch.branchId, instance: 'a-1', vote: null, state: 'enlisted', operations: [] },
    });
    expect(await harness.manager.enlist(id, branch)).toMatchObject({ created: false, branch: enlisted.branch });
  });

  it('refuses other values for a known branch', async () => {
    const { harness } = withStreams('a-1');
    const { id, branch } = await held(harness);
    const { branchId } = branch;
    const conflict = { code: 'BRANCH_CONFLICT' };
    await expect(harness.manager.enlist(id, { ...branch, instance: 'a-2' })).rejects.toMatchObject(conflict);
    await expect(harness.manager.enlist(id, { ...branch, participant: 'bank-b' })).rejects.toMatchObject(conflict);
    const prepared = { participant: 'bank-a', branchId, vote: 'yes' } as const;
    await expect(harness.manager.enlist(id, prepared)).rejects.toMatchObject(conflict);
  });

  it('is refused over Kafka alone, and says what to do instead', async () => {
    const harness = new Harness();
    await expect(held(harness)).rejects.toMatchObject({
      code: 'NOT_ADDRESSABLE',
      message: expect.stringContaining('enlist it with its "vote"'),
    });
  });

  it('leaves the operations of its participant to a branch of their own', async () => {
    const { harness } = withStreams('a-1');
    const { id, branch } = await held(harness);
    const { branch: other } = await harness.manager.enlist(id, work('bank-a'));
    expect(other.branchId).not.toBe(branch.branchId);
  });
});

describe('the instance that holds a branch', () => {
  it('may be away for the grace period, and is asked when it is back', async () => {
    const { harness, connected } = withStreams('a-1');
    const { id } = await held(harness);
    connected.clear();
    await pass(harness, GRACE_MS);
    connected.add('a-1');
    await pass(harness, GRACE_MS);
    const answer = harness.watch(harness.manager.commit(id, DECIDED));
    await harness.answerPrepares('yes');
    expect(answer.value?.transaction.outcome).toBe('committed');
  });

  it('aborts the transaction when it is away for longer, whether its commit was requested or not', async () => {
    for (const isRequested of [false, true]) {
      const { harness, connected } = withStreams('a-1');
      const { id, branch } = await held(harness);
      if (isRequested) harness.watch(harness.manager.commit(id, DECIDED));
      await harness.settle();
      connected.clear();
      await pass(harness, GRACE_MS + 2 * HOLDER_CHECK_MS);
      expect(harness.log.state.find(id)).toMatchObject({
        decision: 'abort',
        cause: { reason: 'PARTICIPANT_REFUSED', participantCode: 'INSTANCE_GONE', branchId: branch.branchId },
      });
      expect(harness.bus.of('decision')).toMatchObject([{ decision: 'abort', heldBy: 'a-1' }]);
    }
  });

  it('is not missed once it has voted', async () => {
    const { harness, connected } = withStreams('a-1');
    const { id } = await held(harness);
    await harness.enlist(id, 'bank-b');
    harness.watch(harness.manager.commit(id, DECIDED));
    await harness.settle();
    harness.vote(
      harness.bus.of('prepare').find(({ heldBy }) => heldBy !== undefined)!,
      'yes',
    );
    connected.clear();
    await pass(harness, 2 * GRACE_MS);
    expect(harness.log.state.find(id)?.decision).toBeUndefined();
  });

  it('is waited for by a new leader, too, for the whole grace period', async () => {
    const { harness } = withStreams();
    const { id } = await held(harness, 'a-9');
    await pass(harness, GRACE_MS - HOLDER_CHECK_MS);
    harness.log.follow();
    harness.log.lead();
    await pass(harness, GRACE_MS - HOLDER_CHECK_MS);
    expect(harness.log.state.find(id)?.decision).toBeUndefined();
    await pass(harness, 3 * HOLDER_CHECK_MS);
    expect(harness.log.state.find(id)?.decision).toBe('abort');
  });

  it('never gets its prepare over Kafka, also when the link was changed', async () => {
    const { harness } = withStreams('a-1');
    const { id } = await held(harness);
    harness.bus.instances = undefined;
    harness.watch(harness.manager.commit(id, DECIDED));
    await pass(harness, 2_000);
    expect(harness.bus.of('prepare')).toEqual([]);
  });
});
