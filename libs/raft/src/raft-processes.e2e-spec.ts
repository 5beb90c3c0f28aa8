import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SeededRandom, randomItem, type Random } from '@concordat/foundation';
import type { NodeId } from './index.js';
import { checkLinearizable, type Operation } from './testing/index.js';
import { ProcessGroup } from './testing/process-group.js';
import { RegisterClients } from './testing/register-clients.js';

const seed = Number(process.env['RAFT_PROCESSES_SEED'] ?? 1);
const replay = `seed ${seed}: RAFT_PROCESSES_SEED=${seed} npm run jest -- --selectProjects e2e -- raft-processes`;
const clientCount = 6;
/** so many mutations are acknowledged before and after a fault heals */
const progress = 10;
/** longer than every election timeout, which is below 400 ms (20 ticks of 20 ms) */
const pauseMs = 450;

type FaultKind = 'kill' | 'pause';
interface Fault {
  readonly kind: FaultKind;
  readonly target: 'leader' | 'follower';
}

const everyFault: readonly Fault[] = [
  { kind: 'kill', target: 'leader' },
  { kind: 'pause', target: 'follower' },
  { kind: 'pause', target: 'leader' },
  { kind: 'kill', target: 'follower' },
];

/** Two at once for a group that survives two. */
function roundsOf(count: number, atOnce: number): Fault[][] {
  return Array.from({ length: count / atOnce }, (_, round) =>
    Array.from({ length: atOnce }, (_, index) => {
      const fault = everyFault[(round + index) % everyFault.length]!;
      return index === 0 ? fault : { ...fault, target: 'follower' };
    }),
  );
}

/** Does the faults of a round, waits until they are felt and the others go on, and heals them. */
async function disturb(group: ProcessGroup, clients: RegisterClients, faults: readonly Fault[], random: Random) {
  const makesProgress = async (): Promise<void> => {
    const goal = clients.acknowledgedCount + progress;
    await group.until(() => clients.acknowledgedCount >= goal, `${progress} more operations are acknowledged`);
  };
  await group.until(() => group.healthy.length === group.nodeIds.length && group.leader() !== undefined, 'all is well');
  const leader = group.leader()!;
  const victims = new Map<NodeId, FaultKind>();
  for (const { kind, target } of faults) {
    const followers = group.nodeIds.filter((nodeId) => nodeId !== leader && !victims.has(nodeId));
    victims.set(target === 'leader' ? leader : randomItem(random, followers), kind);
  }
  const disturbedAt = performance.now();
  for (const [nodeId, kind] of victims) {
    if (kind === 'kill') await group.kill(nodeId);
    else group.pause(nodeId);
  }
  await group.until(() => group.leader() !== undefined, 'a node leads that is not disturbed');
  await makesProgress();
  const isLongEnough = (): boolean =>
    performance.now() - disturbedAt > pauseMs || ![...victims.values()].includes('pause');
  await group.until(isLongEnough, 'the pause was long enough');
  for (const [nodeId, kind] of victims) {
    if (kind === 'kill') group.launch(nodeId);
    else group.resume(nodeId);
  }
  clients.nextRound();
  await makesProgress();
}

/** All nodes have applied everything that any has, and have come to it by the same log. */
async function agree(group: ProcessGroup): Promise<void> {
  const all = () => Promise.all(group.nodeIds.map((nodeId) => group.state(nodeId)));
  await group.until(async () => {
    const states = await all();
    const { lastIndex } = states.reduce(
      (one, other) => (other.status.lastIndex > one.lastIndex ? other.status : one),
      states[0]!.status,
    );
    return states.every(({ state }) => state.appliedIndex === lastIndex);
  }, 'all nodes have applied the same');
  const states = await all();
  expect(new Set(states.map(({ state }) => state.digest)).size).toBe(1);
}

/** Each append that was acknowledged stands in its list once, and nothing stands twice or comes from nowhere. */
function checkAppends(history: readonly Operation[], values: ReadonlyMap<string, string | undefined>): number {
  let acknowledged = 0;
  const sent = history.filter((operation) => operation.kind === 'append');
  for (const [key, value] of values) {
    if (!key.startsWith('list')) continue;
    const items = (value ?? '').split(';').slice(0, -1);
    expect(new Set(items).size).toBe(items.length);
    const ofKey = sent.filter((operation) => operation.key === key);
    expect(items.filter((item) => !ofKey.some(({ input }) => input === `${item};`))).toEqual([]);
    const certain = ofKey.filter(({ returnedAt }) => returnedAt !== undefined);
    expect(certain.filter(({ input }) => !items.includes(input.slice(0, -1)))).toEqual([]);
    acknowledged += certain.length;
  }
  return acknowledged;
}

describe(`nodes in processes of their own (${replay})`, () => {
  let directory: string;
  let group: ProcessGroup | undefined;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'concordat-raft-processes-'));
  });

  afterEach(async () => {
    await group?.end();
    group = undefined;
    await rm(directory, { recursive: true, force: true });
  });

  it.each([
    { size: 3, faults: 24, atOnce: 1 },
    { size: 5, faults: 26, atOnce: 2 },
  ])(
    '$size of them: nothing is lost, doubled or stale over $faults kills and pauses',
    async ({ size, faults, atOnce }) => {
      const random = new SeededRandom(seed + size);
      group = await ProcessGroup.start({ size, directory });
      const clients = new RegisterClients(group, random);
      clients.start(clientCount);
      try {
        for (const round of roundsOf(faults, atOnce)) await disturb(group, clients, round, random);
      } finally {
        await clients.stop();
      }
      await group.until(() => group?.healthy.length === size, 'all are back');
      const values = await clients.readAll();
      const history = clients.history();
      const result = checkLinearizable(history);
      if (!result.linearizable) throw new Error(`${result.explanation}\n${replay}`);
      await agree(group);
      await group.stop();
      expect(checkAppends(history, values)).toBeGreaterThan(faults);
      for (const kind of ['read', 'write', 'cas', 'append'])
        expect(history.filter((operation) => operation.kind === kind).length).toBeGreaterThan(faults);
    },
    180_000,
  );
});
