import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from './random.js';
import { UuidV7Generator, isUuid, uuidV7Time } from './uuid.js';

const AT = Date.UTC(2026, 0, 1);

describe('UuidV7Generator', () => {
  it('makes canonical UUIDs of version 7 that tell their time', () => {
    const id = new UuidV7Generator(() => AT, new SeededRandom(1)).next();
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect([isUuid(id), uuidV7Time(id)]).toEqual([true, AT]);
  });

  it('only grows: within a millisecond, beyond 4,096 in one, and when the clock goes back', () => {
    let now = AT;
    const generator = new UuidV7Generator(() => now, new SeededRandom(2));
    const ids: string[] = [];
    for (const step of [0, 0.4, 1, -1000, 5, 5000]) {
      now += step;
      for (let i = 0; i < 6000; i++) ids.push(generator.next());
    }
    expect(ids).toEqual(ids.toSorted());
    expect(new Set(ids).size).toBe(ids.length);
    expect(uuidV7Time(ids.at(-1)!)! - now).toBeLessThan(20); // what it borrowed is paid back
  });

  it('differs from another generator at the same time', () => {
    const [a, b] = [3, 4].map((seed) => new UuidV7Generator(() => AT, new SeededRandom(seed)).next());
    expect(a).not.toBe(b);
  });
});

describe('isUuid', () => {
  const id = '01890000-0000-7000-8000-00000000000b';

  it.each(['', id.toUpperCase(), `{${id}}`, `${id}\n`, ` ${id}`, id.replaceAll('-', ''), id.slice(1), `${id}0`])(
    'refuses %j',
    (text) => expect(isUuid(text)).toBe(false),
  );

  it.each([id, '6ba7b810-9dad-11d1-80b4-00c04fd430c8'])('takes %s', (text) => expect(isUuid(text)).toBe(true));
});

describe('uuidV7Time', () => {
  it('tells nothing of other versions', () => {
    expect(uuidV7Time('6ba7b810-9dad-41d1-80b4-00c04fd430c8')).toBeUndefined();
  });
});
