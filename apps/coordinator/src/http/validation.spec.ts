import { describe, expect, it } from '@jest/globals';
import { parseBegin, parseExecute } from './validation.js';

describe('the sentence of a request that is refused', () => {
  it.each<[unknown, string]>([
    [undefined, 'the body: is missing'],
    [{ branchs: [] }, 'branches: is missing; branchs: is not a field of this call'],
    [{ branches: [{ participant: 'bank-a' }] }, 'branches[0].operation: is missing; branches[0].payload: is missing'],
    [{ branches: 7 }, 'branches: Invalid input: expected array, received number'],
  ])('%j', (body, sentence) => expect(() => parseExecute(body, 3)).toThrow(sentence));

  it('of a begin', () => {
    expect(() => parseBegin({ protocol: '4pc' })).toThrow('protocol: Invalid option: expected one of "2pc"|"3pc"');
  });
});
