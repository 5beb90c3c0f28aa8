import { describe, expect, it, jest } from '@jest/globals';
import { guarded } from './guarded.js';

const broken = new Error('broken');

describe('a guarded listener', () => {
  it('is called as it is', () => {
    const calls: unknown[][] = [];
    guarded(
      (...parameters: unknown[]) => calls.push(parameters),
      () => undefined,
    )(1, 'two');
    expect(calls).toEqual([[1, 'two']]);
  });

  it('hands on what it throws, and what its promise is rejected with', async () => {
    const errors: unknown[] = [];
    const onError = (error: unknown): unknown => errors.push(error);
    guarded(() => {
      throw broken;
    }, onError)();
    guarded(() => Promise.reject(broken), onError)();
    await Promise.resolve();
    await Promise.resolve();
    expect(errors).toEqual([broken, broken]);
  });

  it('survives a handler that throws, too', () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    guarded(
      () => {
        throw new Error('first');
      },
      () => {
        throw broken;
      },
    )();
    expect(warn.mock.calls).toEqual([[expect.stringContaining('broken')]]);
    warn.mockRestore();
  });
});
