import { describe, expect, it } from '@jest/globals';
import { MetricsRecorder } from './participant-metrics.js';

describe('MetricsRecorder', () => {
  it('counts refusals by their code, whatever a handler has called it', () => {
    const recorder = new MetricsRecorder();
    for (const code of ['LOCK_TIMEOUT', 'constructor', 'toString', '__proto__', 'constructor']) recorder.refused(code);
    expect(Object.entries(recorder.refusals)).toEqual([
      ['LOCK_TIMEOUT', 1],
      ['constructor', 2],
      ['toString', 1],
      ['__proto__', 1],
    ]);
  });

  it('counts codes beyond a hundred together', () => {
    const recorder = new MetricsRecorder();
    for (let code = 0; code < 150; code++) recorder.refused(`CODE_${code}`);
    recorder.refused('CODE_7');
    expect(Object.keys(recorder.refusals)).toHaveLength(101);
    expect(recorder.refusals).toMatchObject({ CODE_7: 2, OTHER: 50 });
  });
});
