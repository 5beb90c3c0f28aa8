import { describe, expect, it } from '@jest/globals';
import { VirtualClock } from '@concordat/foundation';
import { PreparedPlaces } from './prepared-places.js';

function createPlaces(maximum: number) {
  const clock = new VirtualClock();
  const result = { clock, woken: 0 };
  const places = new PreparedPlaces({ clock, maximum: () => maximum, onRoom: () => void result.woken++ });
  return Object.assign(result, { places });
}

const branches = (count: number) => Array.from({ length: count }, (_, n) => ({ branchId: `other-${n}` }));

describe('PreparedPlaces', () => {
  it('has room for three quarters of what the database allows, running work included', () => {
    const { places } = createPlaces(8);
    expect([places.hasRoom(5), places.hasRoom(6)]).toEqual([true, false]);
    for (let n = 0; n < 4; n++) places.take(`${n}`);
    places.take('3'); // the vote is repeated
    expect([places.hasRoom(1), places.hasRoom(2)]).toEqual([true, false]);
  });

  it('has room again when a branch has ended, and says so', () => {
    const system = createPlaces(4);
    for (let n = 0; n < 3; n++) system.places.take(`${n}`);
    expect(system.places.hasRoom(0)).toBe(false);
    system.places.free('unknown');
    expect(system.woken).toBe(0);
    system.places.free('1');
    expect([system.woken, system.places.hasRoom(0)]).toEqual([1, true]);
  });

  it('does not wait for branches that are prepared for 5 s, and counts their places as taken', () => {
    const system = createPlaces(16);
    for (let n = 0; n < 8; n++) system.places.take(`${n}`);
    system.clock.advance(1_000);
    for (let n = 8; n < 12; n++) system.places.take(`${n}`);
    system.clock.advance(3_999);
    expect([system.woken, system.places.hasRoom(0)]).toEqual([0, false]);
    system.clock.advance(1);
    // 8 of 16 are left, and 6 of them may be used, 4 of which are
    expect(system.woken).toBe(1);
    expect([system.places.hasRoom(1), system.places.hasRoom(2)]).toEqual([true, false]);
    system.clock.advance(1_000);
    expect([system.woken, system.places.hasRoom(2), system.places.hasRoom(3)]).toEqual([2, true, false]);
  });

  it('does so at a time at which sum and difference round differently', () => {
    const system = createPlaces(4);
    const start = 3193.1508000000003; // plus 5,000 less this is below 5,000
    system.clock.advance(start);
    system.places.take('late');
    system.clock.advance(5_001);
    expect(system.woken).toBe(1);
  });

  it('leaves the places of others to them, and always one to itself', () => {
    const { places } = createPlaces(16);
    places.observe(branches(8));
    expect([places.hasRoom(5), places.hasRoom(6)]).toEqual([true, false]);
    places.observe(branches(16));
    expect([places.hasRoom(0), places.hasRoom(1)]).toEqual([true, false]);
    places.observe([]);
    places.take('own');
    places.observe([{ branchId: 'own' }]); // counted once
    expect([places.hasRoom(10), places.hasRoom(11)]).toEqual([true, false]);
  });

  it('knows no bound where the database has none', () => {
    const { places } = createPlaces(Infinity);
    for (let n = 0; n < 1_000; n++) places.take(`${n}`);
    expect(places.hasRoom(8)).toBe(true);
  });
});
