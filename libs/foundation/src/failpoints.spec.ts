import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from './clock.js';
import {
  ArmableFailpoints,
  FailpointError,
  FailpointSpecificationError,
  noFailpoints,
  failpointVariable,
} from './failpoints.js';

function armed(specification: string) {
  const clock = new VirtualClock();
  const calls: string[] = [];
  const host = { kill: () => void calls.push('kill'), pause: () => void calls.push('pause') };
  const failpoints = new ArmableFailpoints(['log.before', 'log.after'], clock, host);
  failpoints.arm(specification);
  return { clock, calls, failpoints };
}

describe('failpoints', () => {
  it('cost and do nothing unless armed', () => {
    expect(noFailpoints.hit('log.before')).toBeUndefined();
    const { failpoints, calls } = armed('');
    expect([failpoints.hit('log.before'), failpoints.list(), calls]).toEqual([undefined, [], []]);
  });

  it('kill at their name only, once, and let nothing behind them run', async () => {
    const { failpoints, calls } = armed('log.after=kill');
    expect(failpoints.hit('log.before')).toBeUndefined();
    expect(failpoints.list()).toEqual(['log.after=kill']);
    const held = failpoints.hit('log.after');
    await expect(Promise.race([held, Promise.resolve('first')])).resolves.toBe('first');
    expect([calls, failpoints.list(), failpoints.hit('log.after')]).toEqual([['kill'], [], undefined]);
  });

  it('pause and go on', () => {
    const { failpoints, calls } = armed('log.after=pause');
    expect([failpoints.hit('log.after'), calls]).toEqual([undefined, ['pause']]);
  });

  it('delay for as long as they were told', async () => {
    const { failpoints, clock } = armed('log.after=delay:500');
    const held = failpoints.hit('log.after');
    expect(clock.nextDueAt()).toBe(500);
    clock.advance(500);
    await expect(held).resolves.toBeUndefined();
  });

  it('fail with an error that may be retried', () => {
    const { failpoints } = armed('log.after=error');
    expect(() => failpoints.hit('log.after')).toThrow(FailpointError);
    expect(failpoints.hit('log.after')).toBeUndefined();
  });

  it('act at the n-th coming', () => {
    const { failpoints, calls } = armed('log.after=pause@3, log.before=pause');
    for (let i = 0; i < 5; i++) void failpoints.hit('log.after');
    expect(calls).toHaveLength(1);
    const second = armed('log.after=pause@3');
    void second.failpoints.hit('log.after');
    void second.failpoints.hit('log.after');
    expect(second.calls).toEqual([]);
  });

  it.each(['log.after', 'log.after=explode', 'log.after=delay:x', 'nobody.knows=kill', 'log.after=kill@-1'])(
    'refuse "%s" and stay as they were',
    (specification) => {
      const { failpoints } = armed('log.after=pause');
      expect(() => failpoints.arm(`log.before=kill,${specification}`)).toThrow(FailpointSpecificationError);
      expect(failpoints.list()).toEqual(['log.after=pause']);
    },
  );
});

it.each([
  ['off', { enabled: false, armed: '' }],
  ['on', { enabled: true, armed: '' }],
  ['a.b=kill', { enabled: true, armed: 'a.b=kill' }],
  ['a.b=delay:5@2,a.b=error', { enabled: true, armed: 'a.b=delay:5@2,a.b=error' }],
  ['c.d=kill', undefined],
  ['a.b', undefined],
])('the variable is read without arming anything: %s', (text, expected) => {
  expect(failpointVariable(['a.b']).parse(text)).toEqual(expected);
});
