import { describe, expect, it } from '@jest/globals';
import { group, idOf, type GroupNode, type NodeGroup } from './testing/node-group.js';

const TICK_MS = 50;

interface Lagging {
  readonly nodes: NodeGroup;
  readonly leader: GroupNode;
  readonly follower: GroupNode;
  /** committed on the follower, and not applied there */
  readonly index: number;
}

/** A follower that knows that these are committed, and waits for its next tick. */
async function lagging(commands: readonly string[], lazyFollowers = true): Promise<Lagging> {
  const nodes = await group(3, { lazyFollowers });
  const leader = await nodes.leader();
  const follower = nodes.others(leader)[0]!;
  await nodes.until(() => follower.node.status().leaderId === idOf(leader));
  await nodes.pass(3 * TICK_MS);
  const encoder = new TextEncoder();
  const proposed = commands.map((command) => leader.node.propose(encoder.encode(command)));
  const { index } = (await nodes.end(Promise.all(proposed))).at(-1)!;
  await nodes.until(() => follower.node.status().commitIndex === index);
  return { nodes, leader, follower, index };
}

describe('RaftNode, lazy followers', () => {
  it('applies on a follower what is committed with its next tick, and all of it', async () => {
    const { nodes, leader, follower, index } = await lagging(['a', 'b']);
    expect([leader.journal.commands, follower.journal.commands]).toEqual([['a', 'b'], []]);
    expect(follower.node.status().appliedIndex).toBeLessThan(index);
    await nodes.pass(TICK_MS);
    expect(follower.journal.commands).toEqual(['a', 'b']);
    expect(follower.node.status().appliedIndex).toBe(index);
  });

  it('applies at once without the option', async () => {
    const { follower } = await lagging(['a'], false);
    expect(follower.journal.commands).toEqual(['a']);
  });

  it('applies for a read at once', async () => {
    const { nodes, follower, index } = await lagging(['a']);
    const startedAt = nodes.clock.monotonic();
    expect(await nodes.end(follower.node.readIndex())).toBe(index);
    expect(follower.journal.commands).toEqual(['a']);
    expect(nodes.clock.monotonic() - startedAt).toBe(4); // to the leader, its round, and back
  });

  it('applies at once what it knows to be committed when somebody asks for that', async () => {
    const { nodes, follower } = await lagging(['a']);
    const caughtUp = follower.node.caughtUp();
    await nodes.settle();
    await caughtUp;
    expect(follower.journal.commands).toEqual(['a']);
    await follower.node.caughtUp();
  });

  it('lets nobody wait who asks for that when it stops', async () => {
    const { nodes, follower } = await lagging(['a']);
    const caughtUp = follower.node.caughtUp();
    follower.node.kill();
    await nodes.settle();
    await caughtUp;
    await follower.node.caughtUp();
  });

  it('applies at once for as long as somebody needs it', async () => {
    const { nodes, leader, follower } = await lagging(['a']);
    const ends = [follower.node.applyPromptly(), follower.node.applyPromptly()];
    await nodes.settle();
    expect(follower.journal.commands).toEqual(['a']);
    ends[0]!();
    ends[0]!();
    const { index } = await nodes.propose(leader, 'b');
    await nodes.until(() => follower.node.status().commitIndex === index);
    expect(follower.journal.commands).toEqual(['a', 'b']);
    ends[1]!();
    const { index: later } = await nodes.propose(leader, 'c');
    await nodes.until(() => follower.node.status().commitIndex === later);
    expect(follower.journal.commands).toEqual(['a', 'b']);
  });

  it('keeps a bounded number of entries and of bytes', async () => {
    const many = await lagging(Array.from({ length: 1_000 }, () => 'x'));
    expect(many.follower.journal.commands).toHaveLength(1_000);
    const large = await lagging(['x'.repeat(600_000), 'y'.repeat(600_000)]);
    expect(large.follower.journal.commands).toHaveLength(2);
  });

  it('leads only when it has applied everything that was committed before', async () => {
    const { nodes, leader, follower } = await lagging(['a', 'b']);
    const applied: number[] = [];
    for (const { node, journal } of nodes.others(leader)) {
      node.onStatusChange(({ leaderReady }) => {
        if (leaderReady) applied.push(journal.commands.length);
      });
    }
    const transferred = leader.node.transferLeadership(idOf(follower));
    await nodes.end(transferred);
    await nodes.leader(idOf(leader));
    expect(applied[0]).toBe(2);
  });

  it('applies at once where no leader is known', async () => {
    const { nodes, leader, follower } = await lagging(['a']);
    nodes.crash(idOf(leader));
    await nodes.until(() => follower.node.status().leaderId === undefined);
    expect(follower.journal.commands).toEqual(['a']);
  });
});
