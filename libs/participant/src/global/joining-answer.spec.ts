import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { answerHeaders, readAnswer, type JoiningAnswer } from './joining-answer.js';

const [one, two] = [randomUUID(), randomUUID()];
const read = (headers: Record<string, string>): JoiningAnswer | undefined => readAnswer((name) => headers[name]);

describe('the answer of a callee', () => {
  it.each<JoiningAnswer>([
    { type: 'joined', branches: [] },
    { type: 'joined', branches: [one] },
    { type: 'joined', branches: [one, two] },
    {
      type: 'joined',
      branches: [one, two],
      unlisted: [{ branchId: two, participant: 'stock', instance: 'a b;c,d/é' }],
    },
    { type: 'failed', code: 'SOLD_OUT', participant: 'inventory', isUndone: true },
    { type: 'failed', code: 'SOLD_OUT', participant: 'inventory', isUndone: false },
  ])('is read as it was given: %j', (answer) => {
    expect(read(answerHeaders(answer))).toEqual(answer);
  });

  it.each<[string, Record<string, string>, JoiningAnswer | undefined]>([
    ['proves nothing without headers', {}, undefined],
    ['proves nothing with something else than ids', { 'concordat-branch': 'yes' }, undefined],
    ['proves nothing when it is empty', { 'concordat-branch': '' }, undefined],
    ['proves nothing with more ids than branches', { 'concordat-branch': Array(65).fill(one).join(',') }, undefined],
    ['proves nothing with a branch that it does not name in full', { 'concordat-unlisted': `${one};stock` }, undefined],
    ['proves nothing with a participant that cannot be', { 'concordat-unlisted': `${one};St ock;a` }, undefined],
    ['proves nothing with an instance that cannot be read', { 'concordat-unlisted': `${one};stock;%` }, undefined],
    ['proves nothing with more parts', { 'concordat-unlisted': `${one};stock;a;b` }, undefined],
    [
      'proves nothing with more to name than a header should have',
      { 'concordat-unlisted': Array.from({ length: 17 }, () => `${randomUUID()};stock;a`).join(',') },
      undefined,
    ],
    [
      'is a failure even if it cannot be read',
      { 'concordat-doomed': '' },
      { type: 'failed', code: 'UNREADABLE', participant: 'a called service', isUndone: false },
    ],
    [
      'is a failure even beside a proof',
      { 'concordat-branch': one, 'concordat-doomed': 'X;a' },
      { type: 'failed', code: 'X', participant: 'a', isUndone: false },
    ],
    ['bears spaces after commas', { 'concordat-branch': `${one}, ${two}` }, { type: 'joined', branches: [one, two] }],
    [
      'gives no code that would break a header',
      answerHeaders({ type: 'failed', code: 'a\r\nb', participant: 'a', isUndone: false }),
      { type: 'failed', code: 'INVALID_ERROR_CODE', participant: 'a', isUndone: false },
    ],
  ])('%s', (_what, headers, expected) => {
    expect(read(headers)).toEqual(expected);
  });
});
