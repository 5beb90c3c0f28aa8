import { describe, expect, it } from '@jest/globals';
import { randomChance, randomItem, type SeededRandom } from '@concordat/foundation';
import type { BranchAddress, ProtocolMessage } from '@concordat/commit-protocol';
import { REPLIES_TOPIC } from '@concordat/messaging';
import { PARTS } from './coordinator/cast.js';
import { CoordinatorRange, type Actor } from './coordinator/range.js';
import { misplacedMessage, someAnnouncement, someReply } from './coordinator/replies.js';
import { eachWorld, MESSAGES_PER_SIDE } from './replay.js';
import { damagedShot, foreignShot, putAside, soundShot, type Shot } from './shots.js';
import { strangeId, strangeName } from './strange.js';

const MESSAGES_PER_WORLD = 2_500;
const MESSAGES_AT_ONCE = 25;
const PARTICIPANTS = ['bank-a', 'bank-b', 'bank-c'];

interface Outcome {
  messages: number;
  deadLetters: number;
  /** transactions of which no branch was heard, and so nothing has changed */
  untouched: number;
  /** parts of which a branch has lied */
  moved: Set<string>;
}

/** A branch that speaks for another one: something of the three that make an address does not belong to the others. */
function misaddressed(random: SeededRandom, address: BranchAddress, other: BranchAddress): BranchAddress {
  switch (random.uint32() % 6) {
    case 0:
      return { ...address, participant: strangeName(random) };
    case 1:
      return { ...address, branchId: strangeId(random) };
    case 2:
      return { ...address, branchId: other.branchId };
    case 3:
      return { ...address, transactionId: strangeId(random) };
    case 4:
      return { ...address, participant: other.participant };
    default:
      return { transactionId: strangeId(random), branchId: strangeId(random), participant: strangeName(random) };
  }
}

/** Half of the actors are lied to by their own branches; of the others nobody speaks but strangers and other clusters. */
function aim(range: CoordinatorRange, random: SeededRandom): Shot {
  const victims = range.actors.filter((_, place) => place % 2 === 1);
  const pick = (actors: readonly Actor[]): { address: BranchAddress; actor: Actor } => {
    const actor = randomItem(random, actors);
    return { actor, address: randomItem(random, range.addressesOf(actor)) };
  };
  const message = (): ProtocolMessage => {
    const { actor, address } = pick(range.actors);
    const open = range.find(actor.transactionId)?.preCommit;
    if (randomChance(random, 0.04)) return someAnnouncement(random, PARTICIPANTS);
    if (randomChance(random, 0.1)) return misplacedMessage(random, address);
    if (randomChance(random, 0.6)) {
      const wrong = misaddressed(random, address, pick(range.actors).address);
      return someReply(random, wrong, open);
    }
    const liar = pick(victims);
    return someReply(random, liar.address, range.find(liar.actor.transactionId)?.preCommit);
  };
  if (randomChance(random, 0.1)) {
    const { actor, address } = pick(range.actors);
    return foreignShot(REPLIES_TOPIC, someReply(random, address, range.find(actor.transactionId)?.preCommit));
  }
  return randomChance(random, 0.4)
    ? damagedShot(random, REPLIES_TOPIC, message(), message())
    : soundShot(REPLIES_TOPIC, message());
}

async function storm(random: SeededRandom, outcome: Outcome): Promise<void> {
  const range = new CoordinatorRange(random.fork());
  await range.start([...PARTS, ...PARTS].sort((left, right) => left.name.localeCompare(right.name)));
  const before = range.actors.map(({ transactionId }) => JSON.stringify(range.find(transactionId)));
  const fired: Shot[] = [];
  range.deliveredCount = 0;
  for (let count = 0; count < MESSAGES_PER_WORLD; count += MESSAGES_AT_ONCE) {
    const shots = Array.from({ length: MESSAGES_AT_ONCE }, () => aim(range, random));
    fired.push(...shots);
    await range.fire(shots, random);
    expect(range.judge.violations).toEqual([]);
  }
  await range.fire([], random);
  const deadLetters = putAside(fired, range.deadLetters);
  expect(range.deliveredCount + deadLetters).toBe(fired.length);
  const untouched = range.actors.map(({ transactionId }) => !range.judge.testimony.moved.has(transactionId));
  range.actors.forEach(({ transactionId, part }, place) => {
    if (untouched[place]) expect(JSON.stringify(range.find(transactionId))).toBe(before[place]);
    else outcome.moved.add(part.name);
  });
  await range.heal();
  range.actors.forEach(({ transactionId, part }, place) => {
    const { outcome: reached, endedAt } = range.find(transactionId) ?? {};
    if (untouched[place]) expect([part.name, endedAt !== undefined, reached]).toEqual([part.name, true, part.outcome]);
  });
  expect(await range.servesHonestClients()).toBe(true);
  await range.stop();
  expect([...range.judge.violations, ...range.failures]).toEqual([]);
  outcome.messages += fired.length;
  outcome.deadLetters += deadLetters;
  outcome.untouched += untouched.filter(Boolean).length;
}

describe('mutated and invented messages at a coordinator', () => {
  it(`${MESSAGES_PER_SIDE} of them are put aside or refused, in every state, and move nothing but who sent them`, async () => {
    const outcome: Outcome = { messages: 0, deadLetters: 0, untouched: 0, moved: new Set() };
    await eachWorld('coordinator', MESSAGES_PER_SIDE / MESSAGES_PER_WORLD, (random) => storm(random, outcome));
    if (outcome.messages < MESSAGES_PER_SIDE) return; // one world is replayed
    expect(outcome.deadLetters).toBeGreaterThan(outcome.messages / 4); // the mutations do harm …
    expect(outcome.deadLetters).toBeLessThan(outcome.messages / 2); // … but not always, so both ways are gone
    expect(outcome.untouched).toBeGreaterThan(0);
    expect([...outcome.moved].sort()).toEqual(PARTS.map(({ name }) => name).sort());
  }, 240_000);
});
