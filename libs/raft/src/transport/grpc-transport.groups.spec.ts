import { afterEach, describe, expect, it } from '@jest/globals';
import { between } from '../core/testing/members.js';
import { identityMetadata, readIdentity } from './exchange-service.js';
import { encodeFrame } from './message-encoder.js';
import { termsOf, TransportHarness, until, vote, type TestNode } from './testing/transport-harness.js';

const BLUE = 0xb1e;
const RED = 0x2ed;
const harness = new TransportHarness();

/** Node 1, and node 2 that calls it; each of the group that is given, or of none yet. */
async function pair(groups: { readonly first: number; readonly second: number }): Promise<[TestNode, TestNode]> {
  const first = await harness.start(1, {}, { groupId: groups.first });
  const second = await harness.start(2, { seeds: new Map([[1, first.address]]) }, { groupId: groups.second });
  return [first, second];
}

/** Sends until it has arrived, as Raft does. */
async function insist(from: TestNode, to: TestNode, term: number): Promise<void> {
  await until(() => {
    from.transport.send([vote(2, 1, term)]);
    return termsOf(to).includes(term);
  }, `term ${term} has arrived`);
}

const REFUSAL =
  'node 2, the caller, belongs to the group with id 000000000b1e, node 1, which it called, to another one with id ' +
  '0000000002ed, and both are named "test": correct the addresses of the nodes, and give each group a name of its ' +
  'own; a node that is to change its group has to start with an empty directory';

function expectRefusal([first, second]: readonly [TestNode, TestNode]): void {
  expect(second.transport.isConnected(1)).toBe(false);
  expect(first.warnings).toEqual([expect.stringContaining(REFUSAL)]);
  expect(second.warnings).toEqual([expect.stringContaining(REFUSAL)]);
  expect(new Set(first.strangers)).toEqual(new Set([2]));
  expect(new Set(second.strangers)).toEqual(new Set([1]));
}

afterEach(() => harness.end());

describe('GrpcTransport between groups of one name', () => {
  it('refuses a stream of another group when it opens, and both sides say why, once', async () => {
    const [first, second] = await pair({ first: RED, second: BLUE });
    await until(() => first.transport.counters.refusedStreams >= 3, 'it was refused repeatedly');
    await until(() => second.strangers.length >= 2, 'it was told so');
    second.transport.send([vote(2, 1, 1)]);
    expectRefusal([first, second]);
    expect(first.received).toEqual([]);
  });

  it.each([
    ['the called node', { first: 0, second: BLUE }],
    ['the caller', { first: RED, second: 0 }],
    ['both', { first: 0, second: 0 }],
    ['neither, and it is the same', { first: RED, second: RED }],
  ])('hears the caller when %s belong(s) to no group', async (_, groups) => {
    const [first, second] = await pair(groups);
    await insist(second, first, 7);
    expect([first.strangers, second.strangers, first.transport.counters.refusedStreams]).toEqual([[], [], 0]);
  });

  it('ends the stream of another group when the called node learns its own', async () => {
    const [first, second] = await pair({ first: 0, second: BLUE });
    await insist(second, first, 7);
    first.transport.setIdentity({ incarnation: 1, groupId: RED });
    await until(() => second.strangers.length > 0, 'it was told so');
    await until(() => first.transport.counters.refusedStreams >= 2, 'it is refused from now on');
    expectRefusal([first, second]);
  });

  it('is refused by another group when the caller learns its own', async () => {
    const [first, second] = await pair({ first: RED, second: 0 });
    await insist(second, first, 7);
    second.transport.setIdentity({ incarnation: 2, groupId: BLUE });
    await until(() => second.strangers.length > 0, 'it was told so');
    expectRefusal([first, second]);
  });

  it('finds out that two nodes have learnt different groups, whoever was the first', async () => {
    const [first, second] = await pair({ first: 0, second: 0 });
    await insist(second, first, 7);
    second.transport.setIdentity({ incarnation: 2, groupId: BLUE });
    await insist(second, first, 8);
    expect(first.transport.counters.refusedStreams).toBe(0);
    first.transport.setIdentity({ incarnation: 1, groupId: RED });
    await until(() => second.strangers.length > 0, 'it was told so');
    expectRefusal([first, second]);
  });

  it('loses nothing when both learn their group, whatever is sent at that moment', async () => {
    const [first, second] = await pair({ first: 0, second: 0 });
    await until(() => second.transport.isConnected(1), 'node 2 is connected');
    second.transport.send([vote(2, 1, 1), vote(2, 1, 2)]);
    second.transport.setIdentity({ incarnation: 2, groupId: RED });
    second.transport.send([vote(2, 1, 3)]);
    first.transport.setIdentity({ incarnation: 1, groupId: RED });
    second.transport.send([vote(2, 1, 4)]);
    await until(() => first.received.length === 4, 'all has arrived');
    expect(termsOf(first)).toEqual([1, 2, 3, 4]);
    expect(second.transport.isConnected(1)).toBe(true);
    expect(second.transport.peerMetrics(1)).toMatchObject({ reconnects: 0, droppedMessages: 0 });
    expect([first.warnings, second.warnings]).toEqual([[], []]);
  });

  it('takes a group that is none for none told', () => {
    const metadata = identityMetadata({ clusterName: 'test', ...between(2, 1), groupId: BLUE });
    expect(readIdentity(metadata)?.groupId).toBe(BLUE);
    for (const nonsense of ['0', '-1', 'blue', '281474976710657', '']) {
      metadata.set('concordat-group', nonsense);
      expect(readIdentity(metadata)?.groupId).toBe(0);
    }
  });

  it('is told the id of the group only when it may speak at all', async () => {
    const first = await harness.start(1, {}, { groupId: RED });
    const identity = { clusterName: 'another', from: 2, to: 1, groupId: BLUE };
    const answer = await harness.call(first.address, identityMetadata(identity), [encodeFrame([vote(2, 1, 1)])]);
    expect(answer.details).toBe('the caller is of cluster "another", this node of "test"');
    expect(answer.metadata.get('concordat-group')).toEqual([]);
  });
});
