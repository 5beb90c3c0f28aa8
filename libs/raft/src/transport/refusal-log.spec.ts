import { describe, expect, it } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import type { TransportRefusal } from './grpc-transport.types.js';
import { RefusalLog } from './refusal-log.js';

function logOf(): { log: RefusalLog; lines: string[]; told: TransportRefusal[] } {
  const [lines, told]: [string[], TransportRefusal[]] = [[], []];
  const logger = { ...silentLogger, warn: (text: string) => void lines.push(text) };
  return { log: new RefusalLog(logger, (refusal) => void told.push(refusal)), lines, told };
}

describe('the log of what the port for nodes refuses', () => {
  it('has each host and reason once, and its listener hears every refusal', () => {
    const { log, lines, told } = logOf();
    for (const port of [1, 2, 3]) log.refused('a stream', `10.0.0.9:${port}`, 'there is no certificate');
    log.refused('a stream', '10.0.0.8:1', 'there is no certificate');
    expect(lines).toEqual([
      'refused a stream from 10.0.0.9:1: there is no certificate',
      'refused a stream from 10.0.0.8:1: there is no certificate',
    ]);
    expect(told.map(({ peer }) => peer)).toEqual(['10.0.0.9:1', '10.0.0.9:2', '10.0.0.9:3', '10.0.0.8:1']);
  });

  it('cannot be used up by a caller who invents reasons: its listener hears of what comes afterwards', () => {
    const { log, lines, told } = logOf();
    for (let number = 0; number < 1_000; number++) log.refused('a stream', '10.0.0.9:1', `of cluster "x${number}"`);
    log.refused('a stream', '10.0.0.7:1', 'there is no certificate');
    expect(lines).toHaveLength(100);
    expect(told).toHaveLength(1_001);
    expect(told.at(-1)).toEqual({ what: 'a stream', peer: '10.0.0.7:1', reason: 'there is no certificate' });
  });
});
