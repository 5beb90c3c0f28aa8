import { describe, expect, it } from '@jest/globals';
import { VirtualClock, silentLogger } from '@concordat/foundation';
import { turns } from '../../runtime/testing/runtime-system.js';
import { SelfBlockWatch } from './self-block-watch.js';

function watched(answers: readonly (boolean | Error)[]) {
  const clock = new VirtualClock();
  const state = { looks: 0, blocked: 0 };
  const lines: string[] = [];
  const watch = new SelfBlockWatch({
    branch: { transactionId: 't', branchId: 'b' },
    clock,
    logger: { ...silentLogger, debug: (line) => void lines.push(line) },
    endSelfBlock: async () => {
      const answer = answers[state.looks++] ?? false;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    onSelfBlocked: () => void state.blocked++,
  });
  const pass = async (durationMs: number): Promise<void> => {
    for (let left = durationMs; left > 0; left -= 10) {
      clock.advance(10);
      await turns();
    }
  };
  return { watch, state, pass, lines };
}

describe('the watch over what a statement waits for', () => {
  it('does not look at statements that are answered soon', async () => {
    const { watch, state, pass } = watched([]);
    for (let count = 0; count < 10; count++) {
      watch.begin();
      await pass(90);
      watch.end();
    }
    await pass(500);
    expect(state).toEqual({ looks: 0, blocked: 0 });
  });

  it('looks every 100 ms, also after a look that failed, and reports a wait for itself once', async () => {
    const { watch, state, pass, lines } = watched([false, new Error('away'), true]);
    watch.begin();
    await pass(250);
    expect(state).toEqual({ looks: 2, blocked: 0 });
    expect(lines).toEqual(['what held branch b of transaction t waits for could not be read: away']);
    await pass(1_000);
    expect(state).toEqual({ looks: 3, blocked: 1 });
  });

  it('ends with the wait', async () => {
    const { watch, state, pass } = watched([]);
    watch.begin();
    await pass(100);
    watch.end();
    await pass(1_000);
    expect(state.looks).toBe(1);
  });
});
