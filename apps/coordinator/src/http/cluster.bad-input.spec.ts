import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { checkRefused, type Case } from './testing/refused.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

let node: TestNode;
beforeAll(async () => {
  node = await createTestNode();
});
afterAll(() => node.app.close());
afterEach(() => {
  const happened = node.cluster.calls.splice(0);
  expect(happened).toEqual([]);
});

describe('changes of the group', () => {
  const MEMBERS = '/v1/cluster/members';
  const member = { nodeId: 4, raftUrl: '10.0.0.4:9081', httpUrl: 'http://10.0.0.4:8081', role: 'voter' };
  const without = (field: keyof typeof member): object => ({ ...member, [field]: undefined });
  const invalid = (name: string, field: string, ...values: unknown[]): Case[] =>
    values.map((value) => ({
      name: `${name}: ${JSON.stringify(value)?.slice(0, 40)}`,
      url: MEMBERS,
      body: { ...member, [field]: value },
      code: 'INVALID_REQUEST',
      paths: [field],
    }));
  const addresses = [
    '',
    'host',
    ':9081',
    'host:0',
    'host:65536',
    'host:-1',
    'host:1e3',
    'a b:1',
    'host:1/x',
    'u@host:1',
  ];
  const cases: Case[] = [
    { name: 'no body', url: MEMBERS, code: 'INVALID_REQUEST', paths: [''] },
    { name: 'a list', url: MEMBERS, body: [member], code: 'INVALID_REQUEST', paths: [''] },
    ...(['nodeId', 'raftUrl', 'httpUrl', 'role'] as const).map((field) => ({
      name: `no ${field}`,
      url: MEMBERS,
      body: without(field),
      code: 'INVALID_REQUEST',
      paths: [field],
    })),
    ...invalid('an id', 'nodeId', '4', 0, -1, 1.5, 1_000_000_000, null, [4]),
    ...invalid('an address', 'raftUrl', 9081, null, ...addresses, '0.0.0.0:9081', '[::]:9081', 'http://10.0.0.4:9081'),
    ...invalid('an address', 'raftUrl', `${'h'.repeat(256)}:1`, `${'h'.repeat(1_000)}:1`),
    ...invalid('a URL', 'httpUrl', 8081, null, ...addresses, 'https://10.0.0.4:8081', 'http://10.0.0.4:8081/v1'),
    ...invalid('the URL that raftUrl is', 'httpUrl', 'http://10.0.0.4:9081'),
    ...invalid('a role', 'role', 'leader', 'Voter', '', 1, null),
    ...invalid('the node it replaces', 'replaces', '3', 0, -3, 2.5, null, 4),
    {
      name: 'a learner that replaces',
      url: MEMBERS,
      body: { ...member, role: 'learner', replaces: 3 },
      code: 'INVALID_REQUEST',
      paths: ['replaces'],
    },
    {
      name: 'an unknown field',
      url: MEMBERS,
      body: { ...member, priority: 1 },
      code: 'UNKNOWN_FIELD',
      paths: ['priority'],
    },
    {
      name: 'an unknown parameter',
      url: `${MEMBERS}?wait=ended`,
      body: member,
      code: 'UNKNOWN_PARAMETER',
      paths: ['wait'],
    },
    ...['-1', '60001', 'x'].map((waitMs) => ({
      name: `waitMs=${waitMs}`,
      url: `${MEMBERS}?waitMs=${waitMs}`,
      body: member,
      code: 'INVALID_PARAMETER',
      paths: ['waitMs'],
    })),
    ...['0', '-1', '1.5', 'x', '01', '1000000000', '%20'].map((nodeId) => ({
      name: `the id ${nodeId}`,
      method: 'DELETE' as const,
      url: `${MEMBERS}/${nodeId}`,
      code: 'INVALID_NODE_ID',
      paths: ['nodeId'],
    })),
    {
      name: 'a removal with a body',
      method: 'DELETE',
      url: `${MEMBERS}/3`,
      body: { force: true },
      code: 'UNKNOWN_FIELD',
      paths: ['force'],
    },
    {
      name: 'a removal with a parameter',
      method: 'DELETE',
      url: `${MEMBERS}/3?force=true`,
      code: 'UNKNOWN_PARAMETER',
      paths: ['force'],
    },
    { name: 'no leader to be', url: '/v1/cluster/leader', body: {}, code: 'INVALID_REQUEST', paths: ['nodeId'] },
    ...['2', -2, 0, 1.5, null].map((nodeId) => ({
      name: `the leader ${JSON.stringify(nodeId)}`,
      url: '/v1/cluster/leader',
      body: { nodeId },
      code: 'INVALID_REQUEST',
      paths: ['nodeId'],
    })),
    {
      name: 'a leader with more',
      url: '/v1/cluster/leader',
      body: { nodeId: 2, force: true },
      code: 'UNKNOWN_FIELD',
      paths: ['force'],
    },
  ];
  it.each(cases)('refuses $name ($url)', (one) => checkRefused(node, one));
});
