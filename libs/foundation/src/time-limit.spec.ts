import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from './clock.js';
import { TimeLimitError, sleep, withTimeLimit } from './time-limit.js';

const forever = new Promise<never>(() => undefined);

it('sleep resolves at its time, and not before', async () => {
  const clock = new VirtualClock();
  let awake = false;
  const sleeping = sleep(clock, 100).then(() => (awake = true));
  clock.advance(99);
  await Promise.resolve();
  expect(awake).toBe(false);
  clock.advance(1);
  await sleeping;
});

describe('withTimeLimit', () => {
  it('settles as the promise does, and leaves no timer behind', async () => {
    const clock = new VirtualClock();
    await expect(withTimeLimit(clock, 100, 'it', Promise.resolve(7))).resolves.toBe(7);
    await expect(withTimeLimit(clock, 100, 'it', Promise.reject(new Error('no')))).rejects.toThrow('no');
    await Promise.resolve();
    expect(clock.nextDueAt()).toBeUndefined();
  });

  it('says what took too long', async () => {
    const clock = new VirtualClock();
    const waiting = withTimeLimit(clock, 100, 'the handler', forever);
    const answer = expect(waiting).rejects.toThrow(new TimeLimitError('the handler took longer than 100 ms'));
    clock.advance(100);
    await answer;
  });

  it("a late rejection is nobody's", async () => {
    const clock = new VirtualClock();
    let fail: (error: Error) => void = () => undefined;
    const waiting = withTimeLimit(clock, 1, 'it', new Promise((_, reject) => (fail = reject)));
    const answer = expect(waiting).rejects.toThrow(TimeLimitError);
    clock.advance(1);
    await answer;
    fail(new Error('late'));
    await new Promise((resolve) => setImmediate(resolve)); // an unhandled rejection would fail the test
  });
});
