import { describe, expect, it } from '@jest/globals';
import { NotLeaderError, ProposalDroppedError, ProposalUnknownError } from './errors.js';
import { group, idOf } from './testing/node-group.js';
import type { MemoryStorage } from '../storage/memory-storage.js';

const encoder = new TextEncoder();
const ELECTION_TIMEOUT_MS = 500;

/** The disk takes everything, and says nothing until it is released. */
function hang(storage: MemoryStorage): () => void {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const persist = storage.persist.bind(storage);
  storage.persist = (batch) => held.then(() => persist(batch));
  return () => {
    storage.persist = persist;
    release();
  };
}

describe('RaftNode, hung disk', () => {
  it('leads no more, says that nobody knows of what was proposed, and another one leads soon', async () => {
    const nodes = await group(3);
    const old = await nodes.leader();
    await nodes.propose(old, 'a');
    const release = hang(old.storage);
    const startedAt = nodes.clock.monotonic();
    const [committed, late] = ['committed without its disk', 'asked while it hangs'].map((command) =>
      old.node.propose(encoder.encode(command)).catch((error: unknown) => error),
    );
    const next = await nodes.leader(idOf(old));
    expect(nodes.clock.monotonic() - startedAt).toBeLessThan(4 * ELECTION_TIMEOUT_MS);
    expect(await nodes.end(committed!)).toBeInstanceOf(ProposalUnknownError);
    expect(await nodes.end(late!)).toBeInstanceOf(ProposalUnknownError);
    await nodes.propose(next, 'b');
    await nodes.pass(60_000);
    expect(old.node.status()).toMatchObject({ role: 'follower', leaderId: idOf(next) });
    expect(next.node.status().role).toBe('leader');
    release();
    await nodes.until(() => old.journal.commands.length === next.journal.commands.length);
    expect(old.journal.commands).toEqual(['a', 'committed without its disk', 'asked while it hangs', 'b']);
    expect(old.fatal).toEqual([]);
  });

  it('keeps no reader waiting', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const follower = nodes.others(leader)[0]!;
    const release = hang(follower.storage);
    await nodes.propose(leader, 'a');
    await nodes.pass(100); // a heartbeat, so that the follower knows
    const read = follower.node.readIndex().catch((error: unknown) => error);
    expect(await nodes.end(read)).toBeInstanceOf(NotLeaderError);
    release();
    await nodes.until(() => follower.journal.commands.length === 1);
    expect(await nodes.end(follower.node.readIndex())).toBeGreaterThan(0);
  });

  it('keeps a leader whose writes are slow but return', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const { term } = leader.node.status();
    for (let write = 0; write < 5; write++) {
      const release = hang(leader.storage);
      const proposed = leader.node.propose(encoder.encode(`${write}`));
      await nodes.pass(2.5 * ELECTION_TIMEOUT_MS);
      release();
      await nodes.end(proposed);
    }
    expect(leader.node.status()).toMatchObject({ role: 'leader', term });
  });

  it('is a leader again, alone in its group, when the disk answers', async () => {
    const nodes = await group(1);
    const alone = await nodes.leader();
    const release = hang(alone.storage);
    const pending = alone.node.propose(encoder.encode('a')).catch((error: unknown) => error);
    expect(await nodes.end(pending)).toBeInstanceOf(ProposalUnknownError);
    await nodes.pass(60_000);
    const refused = await nodes.failure(alone.node.propose(encoder.encode('b')));
    expect(refused).toBeInstanceOf(NotLeaderError);
    expect(refused).not.toBeInstanceOf(ProposalDroppedError);
    release();
    await nodes.leader();
    await nodes.propose(alone, 'c');
    expect(alone.journal.commands).toEqual(['a', 'c']);
  });
});
