import { describe, expect, it } from '@jest/globals';
import type { SnapshotPieces, TakenSnapshot } from './ports.js';
import { group, idOf, type GroupNode, type NodeGroup } from './testing/node-group.js';

const encoder = new TextEncoder();
const STEPS = 200;

/** What a node was asked for while it took snapshots. */
interface Watched {
  /** commands that were applied when a snapshot was begun, when each piece was made, and when it was released */
  readonly begun: number[];
  readonly made: number[];
  readonly released: number[];
}

/** From now on the node takes its snapshots in pieces of a command each. */
function inPieces({ journal }: GroupNode): Watched {
  const watched: Watched = { begun: [], made: [], released: [] };
  journal.takeSnapshot = (): SnapshotPieces => {
    const commands = [...journal.commands];
    watched.begun.push(commands.length);
    return {
      *[Symbol.iterator]() {
        yield encoder.encode('[');
        for (const [at, command] of commands.entries()) {
          watched.made.push(journal.commands.length);
          yield encoder.encode(`${at === 0 ? '' : ','}${JSON.stringify(command)}`);
        }
        yield encoder.encode(']');
      },
      release: () => void watched.released.push(journal.commands.length),
    };
  };
  return watched;
}

/** From now on the node's disk takes a piece in a millisecond. */
function slowly(nodes: NodeGroup, { storage }: GroupNode): void {
  const save = storage.saveSnapshot.bind(storage);
  storage.saveSnapshot = async ({ metadata, data }: TakenSnapshot) => {
    const pieces: Uint8Array[] = [];
    for (const piece of data instanceof Uint8Array ? [data] : data) {
      pieces.push(piece);
      await new Promise<void>((resolve) => void nodes.clock.setTimer(1, resolve));
    }
    return save({ metadata, data: Buffer.concat(pieces) });
  };
}

async function propose(nodes: NodeGroup, to: GroupNode, first: number, count: number): Promise<void> {
  for (let command = first; command < first + count; command++) await nodes.propose(to, `command ${command}`);
}

describe('RaftNode, a snapshot that its state machine makes in pieces', () => {
  it('is that of the moment when it was begun, although commands are applied between the pieces', async () => {
    const nodes = await group(1, { snapshotAfterBytes: 600 });
    const leader = await nodes.leader();
    const watched = inPieces(leader);
    slowly(nodes, leader);
    await propose(nodes, leader, 0, 12);
    await nodes.until(() => watched.made.length > 0);
    const [begun] = watched.begun;
    const further = Promise.all(
      Array.from({ length: 28 }, (_, at) => leader.node.propose(encoder.encode(`command ${12 + at}`))),
    );
    await nodes.until(() => watched.released.length > 0);
    await nodes.end(further);
    expect(watched.made[begun! - 1]).toBeGreaterThan(begun!);
    const { snapshot } = leader.storage.stored();
    const stored = JSON.parse(Buffer.from(snapshot!.data).toString()) as unknown[];
    expect(watched.begun).toContain(stored.length);
    expect(stored).toEqual(leader.journal.commands.slice(0, stored.length));
    nodes.crash(1);
    const restarted = await nodes.start(1);
    await nodes.until(() => restarted.journal.commands.length === 40);
    expect(restarted.journal.commands).toEqual(leader.journal.commands);
    expect(restarted.journal.restored).toBe(1);
  });

  it('is released once, before the next one is begun', async () => {
    const nodes = await group(1, { snapshotAfterBytes: 300 });
    const leader = await nodes.leader();
    const watched = inPieces(leader);
    await propose(nodes, leader, 0, 120);
    await nodes.until(() => watched.released.length === watched.begun.length);
    expect(watched.begun.length).toBeGreaterThan(2);
    for (const [at, begun] of watched.begun.slice(1).entries()) {
      expect(watched.released[at]).toBeLessThanOrEqual(begun);
    }
  });

  it('is released when there is no room for it, and begun anew later', async () => {
    const nodes = await group(1, { snapshotAfterBytes: 600 });
    const leader = await nodes.leader();
    const watched = inPieces(leader);
    const save = leader.storage.saveSnapshot.bind(leader.storage);
    let refused = 0;
    leader.storage.saveSnapshot = (snapshot) => (refused++ < 1 ? Promise.resolve(false) : save(snapshot));
    await propose(nodes, leader, 0, 40);
    await nodes.until(() => watched.released.length === 2);
    expect(leader.storage.stored().snapshot).toBeDefined();
  });
});

describe('RaftNode, a snapshot that its state machine restores in steps', () => {
  /** A follower that is down, a leader whose log has gone on without it, and what is seen of the follower's restore. */
  async function lateFollower(): Promise<{ nodes: NodeGroup; leader: GroupNode; late: GroupNode; steps: number[] }> {
    const nodes = await group(3, { snapshotAfterBytes: 500 });
    const leader = await nodes.leader();
    const lateId = idOf(nodes.others(leader)[0]!);
    nodes.crash(lateId);
    await nodes.pass(1_000);
    await propose(nodes, leader, 0, 60);
    const late = await nodes.start(lateId);
    const restore = late.journal.restoreSnapshot.bind(late.journal);
    const steps: number[] = [];
    let before: number | undefined;
    const inSteps = function* (data: Uint8Array): Generator<void, void> {
      for (let step = 0; step < STEPS; step++) {
        steps.push(nodes.clock.monotonic());
        const { appliedIndex } = late.node.status();
        before ??= appliedIndex;
        expect([late.journal.commands.length, appliedIndex]).toEqual([0, before]);
        yield;
      }
      restore(data);
    };
    late.journal.restoreSnapshot = inSteps;
    return { nodes, leader, late, steps };
  }

  it('gives others a turn between them, applies nothing until they are done, and everything after', async () => {
    const { nodes, leader, late, steps } = await lateFollower();
    const { term } = leader.node.status();
    const seen = new Set<number>(); // in turns of the event loop
    await nodes.until(() => {
      seen.add(steps.length);
      return late.journal.commands.length === 60;
    });
    await propose(nodes, leader, 60, 10);
    await nodes.until(() => late.journal.commands.length === 70);
    expect(late.journal.commands).toEqual(leader.journal.commands);
    expect([late.journal.restored, steps.length]).toEqual([1, STEPS]);
    expect(seen.size).toBe(STEPS + 1);
    expect(leader.node.status()).toMatchObject({ role: 'leader', term });
  });

  it('goes on with none of them when it is stopped, and begins anew in its next life', async () => {
    const { nodes, leader, late, steps } = await lateFollower();
    await nodes.until(() => steps.length > 10);
    const done = steps.length;
    const id = idOf(late);
    nodes.crash(id);
    await nodes.pass(1_000);
    expect([steps.length, late.journal.restored]).toEqual([done, 0]);
    const next = await nodes.start(id);
    await nodes.until(() => next.journal.commands.length === 60);
    expect(next.journal.commands).toEqual(leader.journal.commands);
  });

  it('ends when a step fails', async () => {
    const { nodes, late, steps } = await lateFollower();
    late.journal.restoreSnapshot = function* (): Generator<void, void> {
      steps.push(0);
      yield;
      throw new Error('the snapshot cannot be read');
    };
    await nodes.until(() => late.fatal.length > 0);
    expect([steps.length, late.fatal[0]?.message]).toEqual([1, 'the snapshot cannot be read']);
  });
});
