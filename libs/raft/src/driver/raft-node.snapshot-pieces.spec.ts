import { describe, expect, it } from '@jest/globals';
import type { SnapshotPieces, TakenSnapshot } from './ports.js';
import { group, type GroupNode, type NodeGroup } from './testing/node-group.js';

const encoder = new TextEncoder();

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
