import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SystemClock, SystemRandom, UuidV7Generator, type JsonValue } from '@concordat/foundation';
import { BranchRefusedError, type ResourceManager, type TwoPhaseWork } from '@concordat/participant';

/** A resource manager under test, and values by key in its database. */
export interface ResourceManagerHarness<Context> {
  readonly manager: ResourceManager<Context>;
  /** Changes the value inside the local transaction. */
  write(context: Context, key: string, value: number): Promise<void>;
  /** The committed value. */
  read(key: string): Promise<number | undefined>;
  stop(): Promise<void>;
}

type Work<Context> = (context: Context) => Promise<readonly JsonValue[]>;

const clock = new SystemClock();
const ids = new UuidV7Generator(() => clock.now(), new SystemRandom());

function newBranch(timeoutMs = 10_000): TwoPhaseWork {
  const deadline = clock.now() + timeoutMs;
  return {
    protocol: '2pc',
    transactionId: ids.next(),
    branchId: randomUUID(),
    deadline,
    timeoutMs,
    preparedByService: false,
  };
}

const mustNotRun = (): Promise<never> => Promise.reject(new TypeError('this work must not run'));

/** What every resource manager guarantees in two phases (protocol section 5). */
export function resourceManagerSuite<Context>(
  name: string,
  open: () => Promise<ResourceManagerHarness<Context>>,
): void {
  describe(`${name} as a resource manager`, () => {
    let harness: ResourceManagerHarness<Context>;
    let manager: ResourceManager<Context>;

    beforeAll(async () => {
      harness = await open();
      ({ manager } = harness);
    });
    afterAll(() => harness?.stop());

    const writing =
      (key: string, value: number): Work<Context> =>
      async (context) => {
        await harness.write(context, key, value);
        return [value];
      };

    it('shows nothing of a prepared branch before its commit, and all of it after', async () => {
      const branch = newBranch();
      const key = randomUUID();
      expect(await manager.prepare(branch, writing(key, 1))).toEqual({ vote: 'yes', results: [1] });
      expect(await harness.read(key)).toBeUndefined();
      expect((await manager.listPrepared()).map(({ gid }) => gid)).toContain(manager.gidOf(branch));
      expect(await manager.commit(branch)).toBe('committed');
      expect(await harness.read(key)).toBe(1);
      expect((await manager.listPrepared()).map(({ gid }) => gid)).not.toContain(manager.gidOf(branch));
    });

    it('commits once, however often it is told, and never aborts afterwards', async () => {
      const branch = newBranch();
      const key = randomUUID();
      await manager.prepare(branch, writing(key, 2));
      expect([await manager.commit(branch), await manager.commit(branch)]).toEqual(['committed', 'committed']);
      expect(await manager.abort(branch)).toBe('heuristic-commit');
      expect(await harness.read(key)).toBe(2);
    });

    it('aborts once, and never commits afterwards', async () => {
      const branch = newBranch();
      const key = randomUUID();
      await manager.prepare(branch, writing(key, 3));
      expect([await manager.abort(branch), await manager.rollBack(branch)]).toEqual(['aborted', 'aborted']);
      expect(await manager.commit(branch)).toBe('heuristic-rollback');
      expect(await harness.read(key)).toBeUndefined();
    });

    it('votes again without the work when it is asked again', async () => {
      const branch = newBranch();
      await manager.prepare(branch, writing(randomUUID(), 4));
      expect(await manager.prepare(branch, mustNotRun)).toMatchObject({ vote: 'yes' });
      await manager.abort(branch);
      expect(await manager.prepare(branch, mustNotRun)).toMatchObject({ vote: 'no' });
    });

    it('refuses for good: with the code of a refusal, and without the words of a failure', async () => {
      const refused = newBranch();
      const key = randomUUID();
      const refusing: Work<Context> = async (context) => {
        await harness.write(context, key, 5);
        throw new BranchRefusedError('SOLD_OUT', 'there is nothing left');
      };
      const error = { code: 'SOLD_OUT', message: 'there is nothing left' };
      expect(await manager.prepare(refused, refusing)).toEqual({ vote: 'no', results: [], error });
      expect(await manager.prepare(refused, mustNotRun)).toMatchObject({ vote: 'no', error });
      expect(await harness.read(key)).toBeUndefined();

      const failing: Work<Context> = () => Promise.reject(new Error('the password is swordfish'));
      const failed = await manager.prepare(newBranch(), failing);
      expect(failed).toMatchObject({ vote: 'no', error: { code: 'HANDLER_FAILED' } });
      expect(JSON.stringify(failed)).not.toContain('swordfish');
    });

    it('votes read-only where nothing was written, and holds nothing', async () => {
      const branch = newBranch();
      expect(await manager.prepare(branch, async () => ['read'])).toEqual({ vote: 'read-only', results: ['read'] });
      expect((await manager.listPrepared()).map(({ gid }) => gid)).not.toContain(manager.gidOf(branch));
    });

    it('does no work for a branch that was aborted before it came', async () => {
      const branch = newBranch();
      expect(await manager.abort(branch)).toBe('aborted');
      expect(await manager.prepare(branch, writing(randomUUID(), 6))).toMatchObject({ vote: 'no' });
      expect((await manager.listPrepared()).map(({ gid }) => gid)).not.toContain(manager.gidOf(branch));
    });

    it('does no work after the deadline', async () => {
      const result = await manager.prepare(newBranch(-1), mustNotRun);
      expect(result).toMatchObject({ vote: 'no', error: { code: 'DEADLINE_EXCEEDED' } });
    });

    it('commits in one phase, once', async () => {
      const branch = newBranch();
      const key = randomUUID();
      expect(await manager.commitOnePhase(branch, writing(key, 7))).toEqual({ end: 'committed', results: [7] });
      expect(await harness.read(key)).toBe(7);
      expect(await manager.commitOnePhase(branch, mustNotRun)).toMatchObject({ end: 'committed' });
      expect(await manager.rollBack(branch)).toBe('heuristic-commit');
    });

    it('ends in one phase by a refusal, or by having written nothing', async () => {
      const refused = newBranch();
      const refusing: Work<Context> = () => Promise.reject(new BranchRefusedError('SOLD_OUT', 'there is nothing left'));
      expect(await manager.commitOnePhase(refused, refusing)).toMatchObject({
        end: 'aborted',
        error: { code: 'SOLD_OUT' },
      });
      expect(await manager.commitOnePhase(refused, mustNotRun)).toMatchObject({ end: 'aborted' });
      expect(await manager.commitOnePhase(newBranch(), async () => [])).toMatchObject({ end: 'read-only' });
    });

    it('lets a second branch wait for what the first has changed, until it ends', async () => {
      const [first, second] = [newBranch(), newBranch()];
      const key = randomUUID();
      await manager.prepare(first, writing(key, 8));
      const waiting = manager.prepare(second, writing(key, 9));
      expect(await manager.commit(first)).toBe('committed');
      expect(await waiting).toMatchObject({ vote: 'yes' });
      await manager.commit(second);
      expect(await harness.read(key)).toBe(9);
    });

    it('refuses a second branch that waits up to its deadline', async () => {
      const [first, second] = [newBranch(), newBranch(150)];
      const key = randomUUID();
      await manager.prepare(first, writing(key, 10));
      const result = await manager.prepare(second, writing(key, 11));
      expect(result).toMatchObject({ vote: 'no', error: { code: 'LOCK_TIMEOUT' } });
      await manager.abort(first);
      expect(await harness.read(key)).toBeUndefined();
    });

    it('does the work of one branch once, when it is asked for twice at the same time', async () => {
      const branch = newBranch();
      const key = randomUUID();
      const votes = await Promise.all([1, 2].map(() => manager.prepare(branch, writing(key, 12))));
      expect(votes.some((vote) => vote !== 'busy' && vote.vote === 'yes')).toBe(true);
      expect(votes.every((vote) => vote === 'busy' || vote.vote === 'yes')).toBe(true);
      await manager.commit(branch);
      expect(await harness.read(key)).toBe(12);
    });

    it('looks for what a service has prepared itself', async () => {
      const branch = newBranch();
      const key = randomUUID();
      await manager.prepare(branch, writing(key, 13));
      expect(await manager.prepare({ ...branch, preparedByService: true }, mustNotRun)).toMatchObject({ vote: 'yes' });
      await manager.commit(branch);
      expect(await harness.read(key)).toBe(13);
    });
  });
}
