import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  LastVoterError,
  MemberConflictError,
  MemberNotCaughtUpError,
  MemberNotFoundError,
  MembershipChangingError,
  NotAVoterError,
  TransferFailedError,
  TransferInProgressError,
} from '../cluster/errors.js';
import * as clusterErrors from '../cluster/errors.js';
import { isProblemCode } from './problems.js';
import { createTestNode, type TestNode } from './testing/test-node.js';

const MEMBERS = '/v1/cluster/members';
const member = { nodeId: 4, raftUrl: '10.0.0.4:9081', httpUrl: 'http://10.0.0.4:8081', role: 'voter' };

let node: TestNode;
beforeAll(async () => {
  node = await createTestNode();
});
afterAll(() => node.app.close());
beforeEach(() => {
  node.cluster.calls.length = 0;
  node.cluster.added = true;
  node.cluster.failure = undefined;
});

describe('changes of the group', () => {
  it('sets a member: 201 when it was added, 200 when it was there', async () => {
    const answer = await node.app.inject({ method: 'POST', url: MEMBERS, payload: member });
    expect(answer.statusCode).toBe(201);
    expect(answer.json()).toEqual(node.cluster.view());
    const request = {
      nodeId: 4,
      raft: { host: '10.0.0.4', port: 9081 },
      http: { host: '10.0.0.4', port: 8081 },
      role: 'voter',
    };
    expect(node.cluster.calls).toEqual([['setMember', request, 30_000]]);
    node.cluster.added = false;
    expect((await node.app.inject({ method: 'POST', url: MEMBERS, payload: member })).statusCode).toBe(200);
  });

  it('takes a replaced node, a wait, an IPv6 address and an httpUrl without its scheme', async () => {
    const payload = { ...member, raftUrl: '[2001:db8::4]:9081', httpUrl: 'node-4.internal:8081', replaces: 2 };
    const answer = await node.app.inject({ method: 'POST', url: `${MEMBERS}?waitMs=5`, payload });
    expect(answer.statusCode).toBe(201);
    const request = {
      nodeId: 4,
      raft: { host: '2001:db8::4', port: 9081 },
      http: { host: 'node-4.internal', port: 8081 },
      role: 'voter',
      replaces: 2,
    };
    expect(node.cluster.calls).toEqual([['setMember', request, 5]]);
  });

  it('removes a member, and hands the leadership over', async () => {
    const removal = await node.app.inject({ method: 'DELETE', url: `${MEMBERS}/3` });
    expect([removal.statusCode, removal.json()]).toEqual([200, node.cluster.view()]);
    const transfer = await node.app.inject({ method: 'POST', url: '/v1/cluster/leader', payload: { nodeId: 2 } });
    expect([transfer.statusCode, transfer.json()]).toEqual([200, node.cluster.view()]);
    expect(node.cluster.calls).toEqual([
      ['removeMember', 3],
      ['transferLeadership', 2],
    ]);
  });

  it.each([
    [MemberNotFoundError, 404, undefined],
    [MemberConflictError, 409, undefined],
    [LastVoterError, 409, undefined],
    [NotAVoterError, 409, undefined],
    [MembershipChangingError, 409, '1'],
    [TransferInProgressError, 409, '1'],
    [MemberNotCaughtUpError, 503, '5'],
    [TransferFailedError, 503, '1'],
  ])('answers %p as a problem', async (FailureClass, status, retryAfter) => {
    const failure = new FailureClass('a sentence', { details: { nodeId: 4 } });
    node.cluster.failure = failure;
    const answer = await node.app.inject({ method: 'POST', url: MEMBERS, payload: member });
    expect(answer.json()).toMatchObject({ status, code: failure.code, detail: 'a sentence', nodeId: 4 });
    expect(answer.headers['retry-after']).toBe(retryAfter);
  });

  it('has a problem for every error of the group', () => {
    const codes = Object.values(clusterErrors).map((ErrorClass) => new ErrorClass('').code);
    expect(codes.filter((code) => !isProblemCode(code))).toEqual([]);
  });
});
