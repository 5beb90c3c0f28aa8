import { describe, expect, it } from '@jest/globals';
import { randomChance, randomItem, type SeededRandom } from '@concordat/foundation';
import type { BranchAddress, ProtocolMessage } from '@concordat/commit-protocol';
import type { BranchRows } from '../support/modelled-database/modelled-branch.js';
import { PARTICIPANT, PARTS, type Actor } from './participant/cast.js';
import { idleOrder, strangeOrder } from './participant/orders.js';
import { ParticipantRange, topicFor } from './participant/range.js';
import { eachWorld, MESSAGES_PER_SIDE } from './replay.js';
import { damagedShot, foreignShot, putAside, soundShot, type Shot } from './shots.js';
import { someDecision, strangeId, strangeName } from './strange.js';

const MESSAGES_PER_WORLD = 2_500;
const MESSAGES_AT_ONCE = 25;
const COMPLETE = PARTS.filter(({ isHeld, name }) => !isHeld && name.startsWith('committed'));

interface Outcome {
  messages: number;
  deadLetters: number;
  untouched: number;
}

/** An address of which something is not this branch's. */
function misaddressed(random: SeededRandom, actor: Actor, other: Actor): BranchAddress {
  const { address } = actor;
  switch (random.uint32() % 5) {
    case 0:
      return { ...address, participant: randomItem(random, ['bank-b', strangeName(random)]) };
    case 1:
      return { ...address, branchId: strangeId(random) };
    case 2:
      return {
        ...address,
        branchId: randomItem(random, other === actor ? other.acceptors.slice(1) : other.acceptors).branchId,
      };
    case 3:
      return { ...address, transactionId: strangeId(random) };
    default:
      return { transactionId: strangeId(random), branchId: strangeId(random), participant: PARTICIPANT };
  }
}

/** What another cluster may have decided of its own, or of a copy of this one's data. */
function contraryDecision(random: SeededRandom, address: BranchAddress): ProtocolMessage {
  return { type: 'decision', ...address, decision: someDecision(random), attempt: 0 };
}

/** Half of the branches are spoken to; to the others nobody speaks but another cluster. */
function aim(range: ParticipantRange, random: SeededRandom): Shot {
  const spokenTo = range.actors.filter((_, place) => place % 2 === 1);
  const message = (): ProtocolMessage => {
    if (randomChance(random, 0.4)) return idleOrder(random, randomItem(random, spokenTo));
    const actor = randomItem(random, range.actors);
    return strangeOrder(random, misaddressed(random, actor, randomItem(random, range.actors)), actor.acceptors);
  };
  if (randomChance(random, 0.1)) {
    const { address, acceptors } = randomItem(random, range.actors);
    const told = randomChance(random, 0.5);
    const order = told ? contraryDecision(random, address) : strangeOrder(random, address, acceptors);
    return foreignShot(topicFor(order), order);
  }
  const [one, other] = [message(), message()];
  return randomChance(random, 0.4) ? damagedShot(random, topicFor(one), one, other) : soundShot(topicFor(one), one);
}

/** Whether what a branch has heard may have decided it, so that its real decision comes too late. */
function isOpenTo(heard: ReadonlySet<string>, { prepared, ledger, acceptor }: BranchRows): boolean {
  // pieces of two messages may have made a decision, which nobody can tell from a coordinator's
  if (['decision', 'ruling', 'commit-one-phase'].some((type) => heard.has(type))) return true;
  // who has not voted aborts alone when somebody opens a ballot
  return heard.has('ballot-request') && !prepared && !ledger && !acceptor;
}

async function storm(random: SeededRandom, outcome: Outcome): Promise<void> {
  const range = new ParticipantRange(random.fork());
  await range.start(PARTS.flatMap((part) => [part, part]));
  const rows = (): BranchRows[] => range.actors.map(({ address }) => range.store.rowsOf(address));
  const before = rows();
  range.deliveredCount = 0;
  const fired: Shot[] = [];
  for (let count = 0; count < MESSAGES_PER_WORLD; count += MESSAGES_AT_ONCE) {
    const shots = Array.from({ length: MESSAGES_AT_ONCE }, () => aim(range, random));
    fired.push(...shots);
    await range.fire(shots, random);
    expect(range.judge.violations).toEqual([]);
  }
  await range.fire([], random);
  const deadLetters = putAside(fired, range.deadLetters);
  const untouched = range.actors.map(({ address }) => range.judge.heardInStorm(address).size === 0);
  rows().forEach((row, place) => {
    if (untouched[place]) expect(row).toEqual(before[place]);
  });
  await range.heal();
  range.actors.forEach(({ part, address }, place) => {
    if (isOpenTo(range.judge.heardInStorm(address), before[place]!) || part.heard.includes('contradiction')) return;
    expect([part.name, range.store.rowsOf(address).ledger?.outcome]).toEqual([part.name, part.ledger]);
  });
  expect(await range.servesHonestCoordinators(COMPLETE)).toBe(true);
  await range.stop();
  expect([...range.judge.violations, ...range.failures]).toEqual([]);
  outcome.messages += fired.length;
  outcome.deadLetters += deadLetters;
  outcome.untouched += untouched.filter(Boolean).length;
}

describe('mutated and invented messages at a participant', () => {
  it(`${MESSAGES_PER_SIDE} of them are put aside or refused, in every state, and end no branch that they do not name`, async () => {
    const outcome: Outcome = { messages: 0, deadLetters: 0, untouched: 0 };
    await eachWorld('participant', MESSAGES_PER_SIDE / MESSAGES_PER_WORLD, (random) => storm(random, outcome));
    if (outcome.messages < MESSAGES_PER_SIDE) return; // one world is replayed
    expect(outcome.deadLetters).toBeGreaterThan(outcome.messages / 4); // the mutations do harm …
    expect(outcome.deadLetters).toBeLessThan(outcome.messages / 2); // … but not always, so both ways are gone
    expect(outcome.untouched).toBeGreaterThan(0);
  }, 240_000);
});
