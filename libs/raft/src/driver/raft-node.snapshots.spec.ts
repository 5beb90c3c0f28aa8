import { describe, expect, it } from '@jest/globals';
import type { SnapshotChunk } from '../core/types.js';
import { group, idOf, type GroupNode, type GroupOptions, type NodeGroup } from './testing/node-group.js';

const encoder = new TextEncoder();

/** Snapshots early, no tail of the log behind them, and pieces so small that a snapshot takes many. */
const SMALL_PIECES: GroupOptions = { snapshotAfterBytes: 500, limits: { snapshotChunkBytes: 50 } };

/** A leader whose log is compacted, and a follower that stands still since before that. */
async function leaderAndLateFollower(nodes: NodeGroup): Promise<{ leader: GroupNode; lateId: number }> {
  const leader = await nodes.leader();
  const lateId = idOf(nodes.others(leader)[0]!);
  nodes.crash(lateId);
  await nodes.pass(1_000); // or the leader would begin to send it a snapshot, and keep that one
  for (let command = 0; command < 60; command++) await nodes.propose(leader, `command ${command}`);
  return { leader, lateId };
}

/** The pieces with data that have arrived since the call. */
function arrivingPieces(nodes: NodeGroup): () => SnapshotChunk[] {
  const traffic = nodes.traffic();
  return () =>
    traffic.filter((message) => message.type === 'snapshot-chunk' && message.data.length > 0) as SnapshotChunk[];
}

function received(pieces: readonly SnapshotChunk[]): number {
  return pieces.reduce((sum, { data }) => sum + data.length, 0);
}

describe('RaftNode, snapshots in pieces', () => {
  it('brings a snapshot in pieces, one after another, each once', async () => {
    const nodes = await group(3, SMALL_PIECES);
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    const pieces = arrivingPieces(nodes);
    const late = await nodes.start(lateId);
    await nodes.until(() => late.journal.commands.length === 60);
    expect(late.journal.commands).toEqual(leader.journal.commands);
    expect(late.journal.restored).toBe(1);
    expect(pieces().length).toBeGreaterThan(5);
    let expectedOffset = 0;
    for (const { offset, data, sizeBytes } of pieces()) {
      expect(offset).toBe(expectedOffset);
      expect(data.length).toBeLessThanOrEqual(50);
      expectedOffset = offset + data.length;
      expect(expectedOffset).toBeLessThanOrEqual(sizeBytes);
    }
  });

  it('brings the one it has begun with, however many would be due meanwhile', async () => {
    const nodes = await group(3, { ...SMALL_PIECES, snapshotAfterEntries: 10 });
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    const pieces = arrivingPieces(nodes);
    const late = await nodes.start(lateId);
    const receive = late.storage.receiveSnapshotChunk.bind(late.storage);
    late.storage.receiveSnapshotChunk = async (chunk) => {
      await new Promise<void>((resolve) => nodes.clock.setTimer(40, resolve));
      return receive(chunk);
    };
    let saved = 0;
    const save = leader.storage.saveSnapshot.bind(leader.storage);
    leader.storage.saveSnapshot = (snapshot) => {
      saved++;
      return save(snapshot);
    };
    let proposed = 60;
    const load = (): void => {
      void leader.node.propose(encoder.encode(`command ${proposed++}`)).catch(() => undefined);
      nodes.clock.setTimer(20, load); // a snapshot is due every fifth of a second
    };
    load();
    await nodes.until(() => late.journal.restored > 0);
    expect(pieces().length).toBeGreaterThan(10); // of 40 ms each
    expect(new Set(pieces().map(({ metadata }) => metadata.index)).size).toBe(1);
    expect(saved).toBe(0);
    await nodes.until(() => late.journal.commands.length >= proposed - 5); // by the log that was kept behind it
    expect(late.journal.restored).toBe(1);
    await nodes.until(() => saved > 0); // the next ones are taken again
  });

  it('keeps the log behind the one it has brought until the follower has caught up', async () => {
    const nodes = await group(3, {
      ...SMALL_PIECES,
      limits: { snapshotChunkBytes: 50, maximumMessageBytes: 50, maximumInflightMessages: 1 }, // an entry per round trip
    });
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    const late = await nodes.start(lateId);
    const receive = late.storage.receiveSnapshotChunk.bind(late.storage);
    late.storage.receiveSnapshotChunk = async (chunk) => {
      await new Promise<void>((resolve) => nodes.clock.setTimer(40, resolve));
      return receive(chunk);
    };
    const compacted: number[] = [];
    const compact = leader.storage.compact.bind(leader.storage);
    leader.storage.compact = (index) => {
      compacted.push(late.journal.commands.length);
      return compact(index);
    };
    for (let command = 60; command < 85; command++) void leader.node.propose(encoder.encode(`command ${command}`));
    await nodes.until(() => late.journal.commands.length === 85 && compacted.length > 0);
    expect(late.journal.restored).toBe(1);
    expect(compacted[0]).toBeGreaterThan(80);
  });

  it('goes on behind what is there when the receiver was restarted', async () => {
    const nodes = await group(3, SMALL_PIECES);
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    const pieces = arrivingPieces(nodes);
    await nodes.start(lateId);
    await nodes.until(() => pieces().length === 5);
    nodes.crash(lateId);
    const late = await nodes.start(lateId);
    await nodes.until(() => late.journal.commands.length === 60);
    expect(late.journal.commands).toEqual(leader.journal.commands);
    // What was on its way is sent again, a window of eight pieces at most; what was stored before is not.
    expect(received(pieces()) - pieces()[0]!.sizeBytes).toBeLessThanOrEqual(8 * 50);
  });

  it('goes on behind what is there when the sender was restarted', async () => {
    const nodes = await group(1, SMALL_PIECES);
    await nodes.addLearner(2);
    const leader = await nodes.leader();
    nodes.crash(2);
    for (let command = 0; command < 60; command++) await nodes.propose(leader, `command ${command}`);
    const pieces = arrivingPieces(nodes);
    const late = await nodes.start(2);
    await nodes.until(() => pieces().length === 5);
    nodes.crash(1);
    const restarted = await nodes.start(1);
    await nodes.until(() => late.journal.commands.length === 60);
    expect(late.journal.commands).toEqual(restarted.journal.commands);
    expect(new Set(pieces().map(({ metadata }) => metadata.index)).size).toBe(1);
    expect(received(pieces()) - pieces()[0]!.sizeBytes).toBeLessThanOrEqual(50);
  });

  it('goes on from another leader', async () => {
    const nodes = await group(3, SMALL_PIECES);
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    const pieces = arrivingPieces(nodes);
    const late = await nodes.start(lateId);
    await nodes.until(() => pieces().length === 5);
    nodes.crash(idOf(leader));
    await nodes.until(() => late.journal.commands.length === 60);
    expect(late.journal.commands).toEqual(leader.journal.commands);
  });

  it('survives the loss of pieces and of answers', async () => {
    const nodes = await group(3, SMALL_PIECES);
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    nodes.network.setFaults({ loss: 0.2, duplication: 0.2, reordering: 0.2 });
    const late = await nodes.start(lateId);
    await nodes.until(() => late.journal.commands.length === 60, 600_000);
    expect(late.journal.commands).toEqual(leader.journal.commands);
  });

  it('begins anew with a newer snapshot when the one under way is gone', async () => {
    const nodes = await group(3, SMALL_PIECES);
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    const pieces = arrivingPieces(nodes);
    const late = await nodes.start(lateId);
    await nodes.until(() => pieces().length === 3);
    const more = Array.from({ length: 60 }, (_, position) => encoder.encode(`command ${60 + position}`));
    await nodes.end(Promise.all(more.map((command) => leader.node.propose(command))));
    await nodes.until(() => late.journal.commands.length === 120);
    expect(late.journal.commands).toEqual(leader.journal.commands);
    expect(new Set(pieces().map(({ metadata }) => metadata.index)).size).toBeGreaterThan(1);
  });

  it('asks for the whole again when a piece was damaged', async () => {
    const nodes = await group(3, SMALL_PIECES);
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    const { storage } = leader;
    const read = storage.readSnapshotChunk.bind(storage);
    let damaged = 0;
    storage.readSnapshotChunk = async (wanted, offset, maximumBytes) => {
      const piece = await read(wanted, offset, maximumBytes);
      if (!piece || offset !== 100 || damaged++ > 0) return piece;
      return { ...piece, data: piece.data.map((byte) => byte ^ 1) };
    };
    const pieces = arrivingPieces(nodes);
    const late = await nodes.start(lateId);
    await nodes.until(() => late.journal.commands.length === 60);
    expect(late.journal.commands).toEqual(leader.journal.commands);
    expect(damaged).toBeGreaterThan(1);
    expect(received(pieces())).toBe(2 * pieces()[0]!.sizeBytes);
    expect(late.journal.restored).toBe(1);
  });

  it('shows how it replicates to a follower meanwhile, and takes proposals', async () => {
    const nodes = await group(3, SMALL_PIECES);
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    const late = await nodes.start(lateId);
    const peer = (): string | undefined => leader.node.status().peers.find(({ nodeId }) => nodeId === lateId)?.state;
    await nodes.until(() => peer() === 'snapshot');
    await nodes.propose(leader, 'meanwhile');
    expect(peer()).toBe('snapshot');
    await nodes.until(() => peer() === 'replicate' && late.journal.commands.includes('meanwhile'));
    expect(late.journal.commands).toEqual(leader.journal.commands);
  });

  it('brings the configuration with it', async () => {
    const nodes = await group(3, SMALL_PIECES);
    await nodes.addLearner(4);
    const { leader, lateId } = await leaderAndLateFollower(nodes);
    await nodes.end(leader.node.changeMembership([{ type: 'promote', nodeId: 4 }]));
    for (let command = 60; command < 120; command++) await nodes.propose(leader, `command ${command}`);
    const late = await nodes.start(lateId);
    await nodes.until(() => late.journal.commands.length === 120);
    expect(late.journal.restored).toBe(1);
    expect(nodes.roles(late)).toEqual({ voters: [1, 2, 3, 4], outgoing: [], learners: [] });
  });

  it('brings a node that joins to the state of the group', async () => {
    const nodes = await group(3, SMALL_PIECES);
    const leader = await nodes.leader();
    for (let command = 0; command < 60; command++) await nodes.propose(leader, `command ${command}`);
    const learner = await nodes.addLearner(4);
    await nodes.until(() => learner.journal.commands.length === 60);
    expect(learner.journal.restored).toBe(1);
    expect(learner.storage.stored().snapshot?.metadata.configuration.voters).toEqual([1, 2, 3]);
  });
});
