import { expect, it } from '@jest/globals';
import type { DecisionMessage, TwoPhasePrepareMessage } from '@concordat/commit-protocol';
import { decideTopic } from '../contract/topics.js';
import { World, decision } from './testing/direct-world.js';

function prepareOf({ transactionId, branchId, participant, attempt }: DecisionMessage): TwoPhasePrepareMessage {
  const work = { operations: [], deadline: 1, attempt, epoch: { term: 1, index: 1 } };
  return { type: 'prepare', protocol: '2pc', transactionId, branchId, participant, ...work };
}

it('leads a prepare of a held branch to its holder and nowhere else, and its decision there first', async () => {
  const world = new World();
  const coordinator = await world.coordinator(1, { leads: true });
  const [a, b] = [await world.participant('bank-a', 'a'), await world.participant('bank-a', 'b')];
  const publish = async (transaction: number, type: 'prepare' | 'decision'): Promise<void> => {
    const heldBy = 'b';
    const { message } = decision('bank-a', transaction) as { message: DecisionMessage };
    const prepare = { ...prepareOf(message), heldBy };
    const outgoing = type === 'prepare' ? prepare : { ...message, heldBy };
    await coordinator.publish([{ topic: decideTopic('bank-a'), message: outgoing }]).catch(() => undefined);
    await world.run(50);
  };
  await coordinator.publish([decision('bank-a', 1)]); // the transaction is known to the other process
  for (const transaction of [1, 2, 3]) await publish(transaction, 'prepare');
  for (const transaction of [1, 2, 3]) await publish(transaction, 'decision');
  expect(world.arrived.get('b')).toEqual(expect.arrayContaining([1, 2, 3, 1, 2, 3]));
  expect(world.arrived.get('a')!.length).toBeLessThanOrEqual(1);
  expect([coordinator.instances.has('bank-a', 'b'), coordinator.instances.has('bank-b', 'b')]).toEqual([true, false]);
  b.crash();
  await world.run(50);
  world.arrived.get('a')!.length = 0; // the decisions that were not acknowledged
  await publish(4, 'prepare');
  expect(world.arrived.get('a')).toEqual([]);
  await publish(4, 'decision');
  expect([world.arrived.get('a'), coordinator.instances.has('bank-a', 'b')]).toEqual([[4], false]);
  a.crash();
});
