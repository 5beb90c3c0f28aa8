import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import { RaftCore, type RaftCoreOptions } from './index.js';
import { ROLES } from './testing/fuzz/roles.js';
import { between, FIRST_INCARNATION, groupOf } from './testing/members.js';
import type { Entry } from './types.js';

/* What no golden script can say: misuse by the host, the identity of bytes, several inputs before one output. */

function coreWith(options: Partial<RaftCoreOptions> = {}): RaftCore {
  const core = new RaftCore({
    nodeId: 1,
    incarnation: FIRST_INCARNATION,
    random: new SeededRandom(1),
    electionTicks: 5,
    heartbeatTicks: 1,
    hardState: { term: 0, vote: 0, commitIndex: 0 },
    ...options,
  });
  if (core.lastIndex === 0) core.found(groupOf(1, 2, 3));
  return core;
}

function entry(index: number): Entry {
  return { index, term: 1, kind: 'normal', data: new Uint8Array(0) };
}

describe('RaftCore', () => {
  it('takes only the batch that is out for durable, and only once', () => {
    const core = coreWith();
    const batch = core.ready().persist!;
    expect(() => core.advance({ ...batch })).toThrow('the batch in flight');
    core.advance(batch);
    expect(() => core.advance(batch)).toThrow('the batch in flight');
  });

  it('refuses a stored log with a gap', () => {
    const hardState = { term: 1, vote: 0, commitIndex: 0 };
    expect(() => coreWith({ hardState, entries: [entry(1), entry(3)] })).toThrow('without gaps');
  });

  it('refuses to begin a group it does not belong to', () => {
    expect(() => coreWith({ nodeId: 4 })).toThrow('the founding node votes in its group');
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses the node id %p', (nodeId) => {
    expect(() => coreWith({ nodeId })).toThrow('a node id is a positive integer');
  });

  it('refuses an election timeout that leaves no time for heartbeats', () => {
    expect(() => coreWith({ electionTicks: 3, heartbeatTicks: 3 })).toThrow('several heartbeats');
  });

  it('refuses a message for another node, and counts it', () => {
    const core = coreWith();
    core.step({ type: 'timeout-now', ...between(2, 3), term: 9 });
    expect(core.ready().refused).toEqual([{ from: 2, type: 'timeout-now', reason: 'it is for another node' }]);
    expect([core.term, core.refusedMessages]).toEqual([1, 1]);
  });

  it('reports a few refused messages and counts all', () => {
    const core = coreWith();
    for (let count = 0; count < 50; count++) core.step({ type: 'timeout-now', ...between(2, 1), term: Number.NaN });
    expect(core.ready().refused).toHaveLength(8);
    expect([core.refusedMessages, core.ready().refused.length]).toEqual([50, 0]);
  });

  it('hands the very bytes that were proposed to apply', () => {
    const core = ROLES['the only voter']!();
    const command = new Uint8Array([1, 2, 3]);
    core.propose([command]);
    const batch = core.ready().persist!;
    core.advance(batch);
    expect(core.takeCommitted()[0]?.data).toBe(command);
  });

  it('sends everything proposed before one Ready in one message per follower', () => {
    const core = ROLES['a leader']!();
    core.propose([new Uint8Array(1)]);
    core.propose([new Uint8Array(2), new Uint8Array(3)]);
    const counts = core.ready().messages.map((message) => 'entries' in message && message.entries.length);
    expect(counts).toEqual([3]); // node 3 has not answered yet, so it is only probed
  });

  it('knows what a snapshot has to say of itself, and of nothing that is not committed', () => {
    const core = ROLES['a leader']!();
    core.propose([new Uint8Array(1)]);
    const { commitIndex, configuration } = core;
    expect(core.snapshotMetadata(commitIndex)).toEqual({ index: commitIndex, term: core.term, configuration });
    expect(() => core.snapshotMetadata(commitIndex + 1)).toThrow('a snapshot stands for committed entries');
  });

  it('forgets no entry that was not applied', () => {
    const core = ROLES['a leader']!();
    core.propose([new Uint8Array(1)]);
    expect(() => core.compact(core.lastIndex)).toThrow('only applied entries are compacted');
  });

  it('has nothing more to say when its output was taken', () => {
    const core = coreWith();
    expect(core.hasReady()).toBe(true);
    core.advance(core.ready().persist!);
    while (core.hasReady()) core.ready();
    while (core.hasCommitted) core.takeCommitted();
    const { messages, persist, configuration } = core.ready();
    expect([messages, persist, core.takeCommitted(), configuration]).toEqual([[], undefined, [], undefined]);
  });

  it('keeps committed entries until they are taken, and counts them', () => {
    const core = ROLES['the only voter']!();
    const idle = core.unapplied;
    core.propose([new Uint8Array(60), new Uint8Array(50)]);
    core.advance(core.ready().persist!);
    core.ready();
    expect([idle, core.hasReady(), core.hasCommitted, core.unapplied.entries]).toEqual([
      { entries: 0, bytes: 0 },
      false,
      true,
      2,
    ]);
    expect(core.unapplied.bytes).toBeGreaterThan(110);
    expect(core.takeCommitted()).toHaveLength(2);
    expect([core.hasCommitted, core.unapplied]).toEqual([false, { entries: 0, bytes: 0 }]);
  });
});
