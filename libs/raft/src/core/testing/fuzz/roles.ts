import { SeededRandom, invariant } from '@concordat/foundation';
import { votersOnly } from '../../membership/configuration.js';
import { RaftCore } from '../../raft-core.js';
import type { Message, SnapshotMetadata } from '../../types.js';
import { between, FIRST_INCARNATION, knownMember, TEST_GROUP_ID } from '../members.js';

const MEMBERS = [1, 2, 3].map((nodeId) => knownMember(nodeId));

/** Small bounds, so that they are reached. */
export const FUZZ_LIMITS = {
  maximumInflightMessages: 4,
  maximumInflightBytes: 500,
  maximumMessageBytes: 200,
  maximumApplyBytes: 200,
  maximumUncommittedBytes: 2000,
  snapshotChunkBytes: 4,
  maximumPendingReads: 8,
};

function coreWith(memberCount: number, snapshot?: SnapshotMetadata): RaftCore {
  const core = new RaftCore({
    nodeId: 1,
    incarnation: FIRST_INCARNATION,
    random: new SeededRandom(1),
    electionTicks: 5,
    heartbeatTicks: 1,
    hardState: { term: snapshot?.term ?? 0, vote: 0, commitIndex: snapshot?.index ?? 0 },
    snapshot,
    limits: FUZZ_LIMITS,
  });
  if (memberCount > 0) core.found(votersOnly(MEMBERS.slice(0, memberCount), TEST_GROUP_ID));
  return core;
}

function serve(core: RaftCore): RaftCore {
  while (core.hasReady()) {
    const { persist } = core.ready();
    if (persist) core.advance(persist);
  }
  while (core.hasCommitted) core.takeCommitted();
  return core;
}

function step(core: RaftCore, message: Message): RaftCore {
  core.step(message);
  return serve(core);
}

function follower(): RaftCore {
  const message = { type: 'append-entries', ...between(2, 1), term: 2, previousIndex: 1, previousTerm: 1 } as const;
  return step(serve(coreWith(3)), { ...message, entries: [], commitIndex: 1, round: 0 });
}

function preCandidate(): RaftCore {
  const core = serve(coreWith(3));
  while (core.role === 'follower') core.tick();
  return serve(core);
}

function candidate(): RaftCore {
  const core = preCandidate();
  return step(core, { type: 'pre-vote-reply', ...between(2, 1), term: core.term, granted: true });
}

function leader(): RaftCore {
  const core = candidate();
  step(core, { type: 'request-vote-reply', ...between(2, 1), term: core.term, granted: true });
  core.propose([new Uint8Array(5), new Uint8Array(50)]);
  serve(core);
  const { term } = core;
  for (const matchIndex of [core.noOpIndex, core.lastIndex])
    step(core, { type: 'append-entries-accepted', ...between(2, 1), term, matchIndex, round: 0 });
  invariant(core.role === 'leader' && core.commitIndex === core.lastIndex, 'it leads, and all is committed');
  return core;
}

function leaderInChange(): RaftCore {
  const core = leader();
  const outcome = core.changeMembership([{ type: 'remove', nodeId: 3 }]);
  invariant(!('refused' in outcome), 'the change is taken');
  return serve(core);
}

function leaderInTransfer(): RaftCore {
  const core = leader();
  core.propose([new Uint8Array(9)]);
  invariant(core.transferLeadership(2) === undefined, 'the transfer begins');
  return serve(core);
}

function leaderWithSnapshot(): RaftCore {
  const core = leader();
  core.compact(core.commitIndex);
  core.propose([new Uint8Array(9)]);
  return serve(core);
}

function learner(): RaftCore {
  const configuration = { groupId: TEST_GROUP_ID, members: MEMBERS, voters: [2, 3], outgoing: [], learners: [1] };
  return serve(coreWith(0, { index: 5, term: 2, configuration }));
}

/** Cores in every standing a node can have, each made anew. */
export const ROLES: Readonly<Record<string, () => RaftCore>> = {
  'a new voter': () => serve(coreWith(3)),
  'a follower': follower,
  'a pre-candidate': preCandidate,
  'a candidate': candidate,
  'a leader': leader,
  'a leader that changes the membership': leaderInChange,
  'a leader on its way out': leaderInTransfer,
  'a leader whose log is compacted': leaderWithSnapshot,
  'a learner': learner,
  'a node that joins': () => serve(coreWith(0)),
  'the only voter': () => {
    const core = serve(coreWith(1));
    while (core.role !== 'leader') serve(core).tick();
    return serve(core);
  },
};
