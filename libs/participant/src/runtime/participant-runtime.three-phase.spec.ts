import { describe, expect, it } from '@jest/globals';
import type {
  Acceptor,
  BallotAnswer,
  BallotRequest,
  CoordinatorMessage,
  ParticipantMessage,
} from '@concordat/commit-protocol';
import { decideTopic, type OutgoingMessage } from '@concordat/messaging';
import { address, ACCEPTORS, FakeResourceManager, createSystem, prepare } from './testing/runtime-system.js';

describe('ParticipantRuntime in three phases', () => {
  const threePhases = { ...prepare(1), protocol: '3pc', acceptors: ACCEPTORS } as CoordinatorMessage;
  const request = (request: BallotRequest, proposer?: Acceptor): ParticipantMessage => ({
    ...address(1),
    type: 'ballot-request',
    request,
    acceptors: ACCEPTORS,
    ...(proposer && { proposer }),
  });
  const preCommit = request({ type: 'accept', ballot: { round: 0, proposer: 0 }, value: 'commit' });
  const limits = { sweepIntervalMs: 60_000, terminationTimeoutMs: 400 };

  /** What was sent to each topic, by type. */
  function sent(requests: readonly OutgoingMessage[][], topic: string): string[] {
    return requests.flat().flatMap((outgoing) => (outgoing.topic === topic ? [outgoing.message.type] : []));
  }

  it('hands the acceptors to the resource manager, which puts the vote on record', async () => {
    const { send, resourceManager, heard } = await createSystem(limits);
    await send({ ...threePhases, operations: [], enlistedVote: 'read-only' } as CoordinatorMessage);
    await send(threePhases);
    expect(resourceManager.works).toMatchObject([
      { acceptors: ACCEPTORS, enlistedVote: 'read-only', preparedByService: true },
      { acceptors: ACCEPTORS, preparedByService: false },
    ]);
    expect(heard).toMatchObject([{ type: 'vote', vote: 'yes' }]);
  });

  it('answers the coordinators where they listen, and a branch at its participant', async () => {
    const { send, bus, heard } = await createSystem(limits);
    await send(preCommit);
    expect(heard).toMatchObject([{ type: 'ballot-answer', answer: { type: 'accepted' } }]);
    await send(request({ type: 'promise', ballot: { round: 2, proposer: 3 } }, ACCEPTORS[2]));
    expect(sent(bus.requests, decideTopic('bank-c'))).toEqual(['ballot-answer']);
    expect(heard).toHaveLength(1);
  });

  it.each(['refused', 'unknown'] as const)('says nothing when the acceptor is %s', async (answer) => {
    const { send, resourceManager, heard, runtime } = await createSystem(limits);
    resourceManager.ballotAnswer = answer;
    await send(preCommit);
    expect(heard).toEqual([]);
    expect(runtime.metrics().alerts.IMPOSSIBLE_BALLOT).toBe(answer === 'refused' ? 1 : 0);
  });

  it('takes a signed decision of another participant for a reason to ask the branches, and no more', async () => {
    const { send, run, bus, resourceManager } = await createSystem(limits);
    await send(threePhases);
    const decision = { ...address(1), type: 'decision', decision: 'abort', attempt: 0 } as const;
    bus.deliverAs('participant:bank-z', decision);
    await run(5);
    expect(resourceManager.calls).toEqual(['prepare 1', 'open 1']);
    bus.deliverAs('coordinator', decision);
    await run(5);
    expect(resourceManager.calls).toEqual(['prepare 1', 'open 1', 'abort 1']);
  });

  it('asks the coordinators first, then tells itself that it is time, and opens a ballot with the others', async () => {
    const { send, run, bus, heard, resourceManager } = await createSystem(limits);
    await send(threePhases);
    const aboutBranches = (): string[] => heard.map(({ type }) => type).filter((type) => type !== 'announce');
    await run(150);
    expect(aboutBranches()).toEqual(['vote']);
    await run(100);
    expect(aboutBranches()).toEqual(['vote', 'inquiry']);
    expect(resourceManager.calls).toEqual(['prepare 1']);
    await run(450);
    expect(new Set(aboutBranches().slice(1))).toEqual(new Set(['inquiry']));
    expect(sent(bus.requests, decideTopic('bank-a'))).toEqual(['termination-due']);
    expect(resourceManager.calls).toEqual(['prepare 1', 'open 1']);
    expect(sent(bus.requests, decideTopic('bank-b'))).toEqual(['ballot-request']);
    expect(sent(bus.requests, decideTopic('bank-c'))).toEqual(['ballot-request']);
  });

  it('tells the others and the coordinators what a majority has decided, and ends its branch by it', async () => {
    const { send, bus, heard, resourceManager } = await createSystem(limits);
    await send({ ...address(1), type: 'termination-due' });
    const answer = (answer: BallotAnswer): ParticipantMessage => {
      const { transactionId } = address(1);
      return { ...ACCEPTORS[1]!, transactionId, type: 'ballot-answer', answer, proposer: ACCEPTORS[0]! };
    };
    const ballot = { round: 1, proposer: 1 };
    await send(answer({ type: 'promised', ballot, accepted: { ballot: { round: 0, proposer: 0 }, value: 'commit' } }));
    await send(answer({ type: 'accepted', ballot }));
    expect(resourceManager.calls).toEqual(['open 1', 'accept 1 1', 'commit 1']);
    expect(sent(bus.requests, decideTopic('bank-c'))).toEqual(['ballot-request', 'ballot-request', 'decision']);
    expect(heard).toMatchObject([{ type: 'branches-decided', decision: 'commit' }]);
  });

  it('waits as long as coordinators have something to say', async () => {
    const { send, run, resourceManager, runtime } = await createSystem(limits);
    await send(threePhases);
    for (let n = 0; n < 5; n++) {
      await run(350);
      await send({ ...address(1), type: 'undecided' });
    }
    expect(resourceManager.calls).toEqual(['prepare 1']);
    expect(runtime.metrics().terminations).toBe(0);
    await send({ ...address(1), type: 'decision', decision: 'commit', attempt: 0 });
    await run(2_000);
    expect(resourceManager.calls).toEqual(['prepare 1', 'commit 1']);
  });

  it('asks again when an inquiry or its answer is lost, and opens no ballot when the second is answered', async () => {
    const { send, run, heard, resourceManager, runtime } = await createSystem(limits);
    await send(threePhases);
    const inquiries = (): number => heard.filter(({ type }) => type === 'inquiry').length;
    for (let round = 0; round < 4; round++) {
      const before = inquiries();
      while (inquiries() < before + 2) await run(10); // the first of them stays without an answer
      await send({ ...address(1), type: 'undecided' });
    }
    expect(resourceManager.calls).toEqual(['prepare 1']);
    expect(runtime.metrics().terminations).toBe(0);
  });

  it('watches over what an earlier process has prepared, until it has ended elsewhere', async () => {
    const resourceManager = new FakeResourceManager();
    const { transactionId, branchId } = address(1);
    resourceManager.prepared.push({ transactionId, branchId, gid: 'concordat:x', ageMs: 60_000, isAcceptor: true });
    resourceManager.opened = { type: 'not-an-acceptor' };
    const system = await createSystem({ ...limits, sweepIntervalMs: 1_000 }, resourceManager);
    await system.run(700);
    expect(resourceManager.calls).toEqual(['open 1']);
    resourceManager.prepared.length = 0;
    await system.run(3_000);
    expect(resourceManager.calls).toEqual(['open 1']);
  });

  it('is reminded again when a ballot has come to nothing, each time later', async () => {
    const { clock, send, run, resourceManager } = await createSystem(limits);
    await send(threePhases);
    const openedAt: number[] = [];
    while (openedAt.length < 4) {
      await run(clock.nextDueAt()! - clock.monotonic());
      const opened = resourceManager.calls.filter((call) => call === 'open 1').length;
      if (opened > openedAt.length) openedAt.push(clock.monotonic());
    }
    const [first, second, third] = openedAt.slice(1).map((at, place) => at - openedAt[place]!);
    expect(first).toBeGreaterThanOrEqual(2 * limits.terminationTimeoutMs);
    expect(second).toBeGreaterThanOrEqual(4 * limits.terminationTimeoutMs);
    expect(third).toBeGreaterThanOrEqual(8 * limits.terminationTimeoutMs);
  });

  it('puts the decision on record before a ruling against it', async () => {
    const { send, resourceManager } = await createSystem(limits);
    await send({ ...address(1), type: 'ruling', ruling: 'abort', attempt: 0 });
    expect(resourceManager.calls).toEqual(['record commit 1', 'roll back 1']);
  });
});
