/**
 * The Raft protocol as a state machine without clock, disk or network.
 *
 * A group of nodes keeps one log of commands, and each node applies that log to its own state machine, so all of them
 * go through the same states. Raft makes the logs agree although nodes crash and messages are lost, as long as a
 * majority of the voters, a quorum, can reach each other. It does so in three steps.
 *
 * First the nodes elect a leader (`election/`; paper, 5.2 and 5.4.1). Time is divided into terms, and a term has at
 * most one leader: each voter votes once per term, and a leader needs a quorum of votes. A follower without a leader
 * for a random time first asks whether it would win (pre-vote; thesis, 9.6), and then stands for election in the next
 * term. A node that sees a later term takes it over. A voter votes only for a log at least as up to date as its own, so
 * a leader has every committed entry.
 *
 * Then the leader alone appends to the log and sends its entries to the followers (`leader.ts`, `replication/`; paper,
 * 5.3). Each message names the entry before its own ones. A follower that lacks that entry refuses, and the leader goes
 * back until the logs agree; later entries of the follower are overwritten. An entry is committed when a quorum has it
 * on disk and it is of the leader's own term (5.4.2). Committed entries never change and are applied in order.
 *
 * Finally no message promises what a crash could undo (`log/`; figure 2, "persistent state"). A node answers only when
 * the term, the vote and the entries of the answer are durable. `Ready` separates what may be sent at once from what
 * must be written first.
 *
 * Four additions build on this. Snapshots replace the beginning of the log, so that it does not grow for ever
 * (`snapshots/`; paper, 7). The group can change its members while it runs, by entries of the log that both the old and
 * the new majority commit (`membership/`; paper, 6; thesis, 4). Reads see all that was committed before them, without
 * an entry of their own (`read-index.ts`; thesis, 6.4). A leader can transfer its leadership
 * (`election/leadership-transfer.ts`; thesis, 3.10).
 *
 * Start with `raft.ts`: what a node does with a tick and with each message (figure 2, "Rules for Servers"). `types.ts`
 * has the messages. `raft-core.ts` is the interface to the host: `step`, `tick` and `propose` are the inputs, and
 * `ready` (`ready.ts`) and `takeCommitted` return the results. docs/raft.md lists every section of the paper with its file.
 */
export * from './membership/configuration.js';
export * from './membership/membership-change.js';
export * from './raft-core.js';
export * from './raft-core.types.js';
export * from './ready.js';
export * from './types.js';
export { formatId, randomId } from './membership/addressing.js';
export type { Standing, StandingKind } from './membership/standing.js';
export type { Appended, ProposalRefusal } from './leader.js';
export type { TransferRefusal } from './election/leadership-transfer.js';
export type { ProgressState } from './replication/progress.js';
