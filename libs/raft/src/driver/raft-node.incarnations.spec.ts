import { describe, expect, it } from '@jest/globals';
import { silentLogger } from '@concordat/foundation';
import { between } from '../core/testing/members.js';
import type { Standing } from '../core/membership/standing.js';
import type { Message } from '../core/types.js';
import { MemoryStorage } from '../storage/memory-storage.js';
import { group, idOf, NodeGroup, type GroupNode } from './testing/node-group.js';

/** The node comes back with an empty disk. */
function startWiped(nodes: NodeGroup, id: number, incarnation = 2): Promise<GroupNode> {
  return nodes.start(id, { storage: new MemoryStorage({ clock: nodes.clock, delayMs: () => 1, incarnation }) });
}

describe('RaftNode, incarnations', () => {
  it('takes a member back that lost its disk, with everything that was committed', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const id = idOf(nodes.others(leader)[0]!);
    for (let command = 0; command < 10; command++) await nodes.propose(leader, `command ${command}`);
    nodes.crash(id);
    const returned = await startWiped(nodes, id);
    await nodes.until(() => returned.journal.commands.length === 10);
    await nodes.until(() => nodes.roles(leader).voters.includes(id) && nodes.roles(returned).voters.includes(id));
    await nodes.until(() => returned.node.status().standing.kind === 'member');
    expect(leader.node.status().configuration.members.map(({ incarnation }) => incarnation)).toContain(2);
    expect(leader.node.status().standing.forgetful).toEqual([]);
  });

  it('elects nobody where only a member that was away and one without its disk are left', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    const [away, forgetful] = nodes.others(leader).map(idOf);
    nodes.crash(away!);
    await nodes.propose(leader, 'told');
    nodes.crash(forgetful!);
    nodes.crash(idOf(leader));
    const behind = await nodes.start(away!);
    const empty = await startWiped(nodes, forgetful!);
    await nodes.pass(30_000);
    for (const { node } of [behind, empty]) expect(node.status().leaderId).toBeUndefined();
    expect(behind.node.status().standing).toMatchObject({ kind: 'member', forgetful: [forgetful] });
    expect(behind.node.status().standing.obstacle).toContain(`node ${forgetful} came back without the data directory`);
    expect(empty.node.status().standing).toMatchObject({ kind: 'returning', groupId: 0 });
    expect(empty.node.status().standing.obstacle).toContain('start the other members');

    await nodes.start(idOf(leader));
    await nodes.until(() => empty.journal.commands.includes('told') && behind.journal.commands.includes('told'));
  });

  it('founds no new group when the directories are lost one after another', async () => {
    const nodes = await group(3);
    const leader = await nodes.leader();
    await nodes.propose(leader, 'told');
    const [keeper, ...lost] = [idOf(leader), ...nodes.others(leader).map(idOf)];
    for (const id of lost) nodes.crash(id);
    const wiped = await Promise.all(lost.map((id) => startWiped(nodes, id)));
    await nodes.until(() => wiped.every(({ node }) => node.status().standing.kind === 'returning'));
    await nodes.until(() => wiped.every(({ storage }) => storage.stored().hardState.term > 0));
    for (const id of [keeper, ...lost]) nodes.crash(id);
    for (const id of lost) await nodes.start(id); // with the directory that has heard of the past
    await startWiped(nodes, keeper);
    await nodes.pass(30_000);
    for (const { node } of nodes.members.values())
      expect(node.status()).toMatchObject({ leaderId: undefined, lastIndex: 0, standing: { groupId: 0 } });
    expect(nodes.members.get(lost[0]!)?.node.status().standing.obstacle).toContain('knows of an existing group');
    expect(nodes.members.get(keeper)?.node.status().standing.obstacle).toContain('knows of an existing group');
  });

  it('founds no group before all first members are there', async () => {
    const nodes = new NodeGroup(3);
    const first = await nodes.start(1);
    await nodes.start(2);
    await nodes.pass(10_000);
    expect(first.node.status().standing).toMatchObject({ kind: 'founding', groupId: 0 });
    expect(first.node.status().standing.obstacle).toContain('node 3 has not answered yet');
    await nodes.start(3);
    const leader = await nodes.leader();
    expect(leader.node.status().standing.groupId).toBeGreaterThan(0);
  });

  it('does not take a group that has just begun with it for one that has lost its directory', async () => {
    const nodes = new NodeGroup(3);
    const inner = nodes.network.transport(1);
    let holdsEntries = true;
    const isHeld = ({ type }: Message): boolean => holdsEntries && type === 'append-entries';
    await nodes.start(1, {
      transport: { ...inner, send: (messages) => inner.send(messages.filter((message) => !isHeld(message))) },
    });
    await nodes.start(2);
    const last = await nodes.start(3);
    const seen = new Set<string>();
    const standing = (): Standing => last.node.status().standing;
    await nodes.until(() => {
      seen.add(standing().kind);
      return standing().obstacle === 'node 3 belongs to the group, and its first entries are on their way';
    });
    expect([...seen]).toEqual(['founding']);
    holdsEntries = false;
    await nodes.until(() => seen.add(standing().kind) && standing().kind === 'member');
    expect([...seen]).toEqual(['founding', 'member']);
  });

  it('passes over messages of another group, and says so once for each sender', async () => {
    const warnings: string[] = [];
    const nodes = await group(1, { logger: { ...silentLogger, warn: (message) => warnings.push(message) } });
    const leader = await nodes.leader();
    const { term, standing } = leader.node.status();
    const stranger = { ...between(2, 1), groupId: standing.groupId === 1 ? 2 : 1, term: term + 5 };
    for (let count = 0; count < 3; count++) {
      nodes.network
        .transport(2)
        .send([{ type: 'request-vote', ...stranger, lastLogIndex: 9, lastLogTerm: 1, transfer: true }]);
      await nodes.pass(200);
    }
    expect(leader.node.status()).toMatchObject({ term, role: 'leader', misdirectedMessages: 3 });
    expect(warnings.filter((warning) => warning.includes('another group'))).toHaveLength(1);
  });

  it('tells its transport the group, and hears from it of nodes of other groups', async () => {
    const nodes = new NodeGroup(2);
    const inner = nodes.network.transport(1);
    const groups: number[] = [];
    let meet: (nodeId: number) => void = () => undefined;
    const { node } = await nodes.start(1, {
      transport: {
        ...inner,
        setIdentity: ({ groupId }) => void groups.push(groupId),
        start: (onMessage, notices) => {
          meet = (nodeId) => notices?.onStranger(nodeId);
          return inner.start(onMessage);
        },
      },
    });
    expect(new Set(groups)).toEqual(new Set([0]));
    await nodes.start(2);
    await nodes.leader();
    const { groupId } = node.status().standing;
    expect(groupId).toBeGreaterThan(0);
    expect(groups.at(-1)).toBe(groupId);
    meet(2);
    expect(node.status().standing.strangers).toEqual([2]);
    nodes.network
      .transport(2)
      .send([{ type: 'pre-vote-reply', ...between(2, 1, 1, 0), groupId, term: 1, granted: false }]);
    await nodes.until(() => node.status().standing.strangers.length === 0);
  });

  it('stops when a member is connected with another process of its directory, and says why', async () => {
    const nodes = new NodeGroup(1);
    const inner = nodes.network.transport(1);
    let tell: () => void = () => undefined;
    const { node, fatal } = await nodes.start(1, {
      transport: {
        ...inner,
        start: (onMessage, notices) => {
          tell = () => notices?.onSecondProcess(3);
          return inner.start(onMessage);
        },
      },
    });
    await nodes.leader();
    tell();
    expect(fatal).toEqual([expect.objectContaining({ code: 'SECOND_PROCESS', retryable: false })]);
    expect(fatal[0]!.message).toContain('another process runs as node 1 on the same data directory or a copy of it');
    expect(fatal[0]!.message).toContain('node 3 is connected with it');
    await expect(node.propose(new Uint8Array(1))).rejects.toMatchObject({ code: 'STOPPED' });
    expect(node.status().role).toBe('follower');
  });
});
