import type { RaftCore } from '../core/raft-core.js';
import type { RaftRole } from '../core/raft-core.types.js';
import type { Configuration, Entry, Incarnation, NodeId, SnapshotMetadata } from '../core/types.js';
import { ConfigurationChecker } from './configuration-checker.js';
import type { DurableRecord } from './durable-record.js';
import { isQuorum } from './quorum-rule.js';
import { Violation } from './violation.js';

interface KnownEntry {
  readonly previousTerm: number | undefined;
  readonly digest: number;
}

/** The state of a core at its last check; a new one for each life of a node. */
export class Sighting {
  role: RaftRole = 'follower';
  term = 0;
  vote: NodeId = 0;
  commitIndex = 0;
  lastIndex = 0;
  lastTerm = 0;
  configuration: Configuration | undefined;
}

/** Terms and indexes as one number; both stay far below 2^26 in a run. */
const TERM_RANGE = 2 ** 26;

function digestOf({ kind, data }: Entry): number {
  let digest = kind.length;
  for (const byte of data) digest = Math.imul(digest ^ byte, 0x01000193);
  return digest;
}

/**
 * The five properties of the paper's figure 3 and what follows from them, over all nodes: checked after every step,
 * where something has changed.
 */
export class ClusterChecker {
  readonly configurations = new ConfigurationChecker();
  private readonly records = new Map<NodeId, DurableRecord>();
  /** of lost directories: their acknowledgements may still be counted, once */
  private readonly buried = new Map<string, DurableRecord>();
  /** of second processes with the id of a node */
  private readonly twins = new Map<NodeId, DurableRecord>();
  private readonly leaders = new Map<number, { readonly nodeId: NodeId; readonly record: DurableRecord }>();
  private readonly entries = new Map<number, KnownEntry>();
  /** by index - 1: the entry's term, and the term of the node that committed it */
  private readonly committed: { readonly term: number; readonly by: number }[] = [];
  private readonly snapshots: { readonly nodeId: NodeId; readonly metadata: SnapshotMetadata }[] = [];
  elections = 0;
  /** called when a node was elected */
  onElection: () => void = () => undefined;
  /** a node that believes it leads an earlier term, and would answer reads by a lease now */
  leaseHolderBefore: (term: number) => NodeId | undefined = () => undefined;

  get committedIndex(): number {
    return this.committed.length;
  }

  register(nodeId: NodeId, record: DurableRecord): void {
    this.records.set(nodeId, record);
  }

  /** The directory of a node is lost; `record` is of the empty one that replaces it. */
  wiped(nodeId: NodeId, record: DurableRecord): void {
    const before = this.records.get(nodeId);
    if (before?.incarnation !== undefined) this.buried.set(`${nodeId} ${before.incarnation}`, before);
    this.records.set(nodeId, record);
  }

  /** A second process with that id starts, on a directory of its own or a copy. */
  twinBegins(nodeId: NodeId, record: DurableRecord): void {
    this.twins.set(nodeId, record);
  }

  twinEnds(nodeId: NodeId): void {
    const record = this.twins.get(nodeId);
    this.twins.delete(nodeId);
    const isCopy = record?.incarnation === this.records.get(nodeId)?.incarnation;
    if (record?.incarnation !== undefined && !isCopy) this.buried.set(`${nodeId} ${record.incarnation}`, record);
  }

  /** The one with the rights of a voter in a configuration, if it exists. A copy has none of its own. */
  private rightful(configuration: Configuration, voter: NodeId): DurableRecord | undefined {
    const incarnation = namedIncarnation(configuration, voter);
    return [this.records.get(voter), this.twins.get(voter)].find((record) => record?.incarnation === incarnation);
  }

  /** The machine and its data are gone. */
  forget(nodeId: NodeId): void {
    this.records.delete(nodeId);
  }

  /** Checks a node after it did something. */
  look(nodeId: NodeId, core: RaftCore, seen: Sighting, record: DurableRecord): void {
    const { role, term, commitIndex, lastIndex, configuration } = core;
    if (term < seen.term) throw new Violation('election safety', `the term of node ${nodeId} fell to ${term}`);
    if (role === 'leader') {
      if (seen.role === 'leader' && seen.term === term) this.checkAppendOnly(nodeId, core, seen);
      else this.elected(nodeId, core, record);
    }
    if (role === 'pre-candidate' && seen.role === role && seen.term === term && core.vote !== seen.vote)
      throw new Violation('liveness', `node ${nodeId} votes for node ${core.vote} and goes on collecting pre-votes`);
    if (commitIndex < seen.commitIndex)
      throw new Violation('committed entries stay', `the commit index of node ${nodeId} fell to ${commitIndex}`);
    if (commitIndex > seen.commitIndex) this.advanced(nodeId, core, seen);
    this.configurations.look(nodeId, core, record.lastConfiguration);
    seen.role = role;
    seen.term = term;
    seen.vote = core.vote;
    seen.commitIndex = commitIndex;
    seen.lastIndex = lastIndex;
    seen.lastTerm = core.termAt(lastIndex) ?? 0;
    seen.configuration = configuration;
  }

  private elected(nodeId: NodeId, core: RaftCore, record: DurableRecord): void {
    const { term } = core;
    const other = this.leaders.get(term);
    if (other !== undefined && other.record !== record)
      throw new Violation('election safety', `nodes ${other.nodeId} and ${nodeId} lead term ${term}`);
    if (other === undefined) {
      this.elections++;
      this.onElection();
      this.checkLease(nodeId, term);
    }
    this.leaders.set(term, { nodeId, record });
    const firstIndex = core.lastIndex - this.countKnown(core) + 1;
    for (let index = Math.max(1, firstIndex); index <= this.committed.length; index++) {
      const { term: committedTerm, by } = this.committed[index - 1]!;
      if (by < term && core.termAt(index) !== committedTerm)
        throw new Violation(
          'leader completeness',
          `node ${nodeId} leads term ${term} without the entry of term ${committedTerm} committed at ${index}`,
        );
    }
  }

  /** While a lease lasts no other node can be elected (thesis, section 6.4.1). */
  private checkLease(nodeId: NodeId, term: number): void {
    const holder = this.leaseHolderBefore(term);
    if (holder !== undefined)
      throw new Violation(
        'lease',
        `node ${nodeId} is elected in term ${term} while node ${holder} reads under a lease`,
      );
  }

  /** How many entries at the end of the log are not compacted. */
  private countKnown(core: RaftCore): number {
    let index = core.lastIndex;
    while (index > 0 && core.termAt(index) !== undefined) index--;
    return core.lastIndex - index;
  }

  private checkAppendOnly(nodeId: NodeId, core: RaftCore, seen: Sighting): void {
    const term = core.termAt(seen.lastIndex);
    if (core.lastIndex < seen.lastIndex || (term !== undefined && term !== seen.lastTerm))
      throw new Violation('leader append-only', `node ${nodeId} changed its log as leader of term ${core.term}`);
  }

  /** A node hands entries to its disk: they replace what is stored at their indexes and after. */
  writing(nodeId: NodeId, record: DurableRecord, entries: readonly Entry[]): void {
    const first = entries[0];
    if (!first) return;
    if (first.index === 1) this.foundedAnew(first);
    this.checkReplaced(nodeId, record, first.index, entries);
    let previousTerm = first.index === 1 ? 0 : record.handed.term(first.index - 1);
    for (const entry of entries) {
      this.checkMatching(nodeId, entry, previousTerm);
      previousTerm = entry.term;
      if (entry.kind === 'configuration') this.configurations.written(entry);
    }
  }

  /** The founding node crashed before its first entry was durable: it was never sent, and another one is. */
  private foundedAnew(first: Entry): void {
    const known = this.entries.get(TERM_RANGE + first.term);
    const isDurable = [...this.records.values()].some((record) => record.holds(1, first.term));
    if (!known || known.digest === digestOf(first) || isDurable) return;
    this.entries.delete(TERM_RANGE + first.term);
    this.committed.length = 0;
    this.configurations.foundedAnew();
  }

  private checkMatching(nodeId: NodeId, entry: Entry, previousTerm: number | undefined): void {
    const key = entry.index * TERM_RANGE + entry.term;
    const known = this.entries.get(key);
    const digest = digestOf(entry);
    if (known && known.digest !== digest)
      throw new Violation('log matching', `node ${nodeId} has another entry at ${entry.index} of term ${entry.term}`);
    if (known?.previousTerm !== undefined && previousTerm !== undefined && known.previousTerm !== previousTerm)
      throw new Violation(
        'log matching',
        `node ${nodeId} has the entry at ${entry.index} of term ${entry.term} behind one of term ${previousTerm}, ` +
          `another has it behind one of term ${known.previousTerm}`,
      );
    if (known?.previousTerm === undefined) this.entries.set(key, { previousTerm, digest });
  }

  private checkReplaced(nodeId: NodeId, record: DurableRecord, firstIndex: number, entries: readonly Entry[]): void {
    const end = Math.min(record.handed.lastIndex, this.committed.length);
    for (let index = firstIndex; index <= end; index++) {
      const { term } = this.committed[index - 1]!;
      if (record.handed.term(index) === term && entries[index - firstIndex]?.term !== term)
        throw new Violation('committed entries stay', `node ${nodeId} replaces the committed entry at ${index}`);
    }
  }

  private advanced(nodeId: NodeId, core: RaftCore, seen: Sighting): void {
    let lastNew = 0;
    for (let index = seen.commitIndex + 1; index <= core.commitIndex; index++) {
      const term = core.termAt(index);
      if (term === undefined) continue; // covered by a snapshot, whose content is checked when it is restored
      const known = this.committed[index - 1];
      if (known && known.term !== term)
        throw new Violation(
          'state machine safety',
          `node ${nodeId} has committed an entry of term ${term} at ${index}, another one of term ${known.term}`,
        );
      if (known) continue;
      if (index !== this.committed.length + 1)
        throw new Violation('state machine safety', `node ${nodeId} committed ${index}, nobody what lies before it`);
      this.committed.push({ term, by: core.term });
      this.configurations.committed(index, term);
      this.checkQuorum(nodeId, core, seen, index, term);
      lastNew = index;
    }
    if (lastNew > 1) this.checkNoLoss(lastNew);
  }

  /** The first node to commit counts; the first entry of a group is the same on all by definition. */
  private checkQuorum(nodeId: NodeId, core: RaftCore, seen: Sighting, index: number, term: number): void {
    if (index === 1) return;
    const holds =
      (configuration: Configuration) =>
      (voter: NodeId): boolean => {
        const buried = this.buried.get(`${voter} ${namedIncarnation(configuration, voter)}`);
        return (this.rightful(configuration, voter) ?? buried)?.holds(index, term) ?? false;
      };
    const own = this.configurations.standingAt(index, term);
    const inForce = own ? [own] : [core.configuration, seen.configuration ?? core.configuration];
    if (inForce.some((configuration) => isQuorum(configuration, holds(configuration)))) return;
    const { voters, outgoing } = inForce[0]!;
    const holders = [...this.records.keys()].filter(holds(inForce[0]!));
    throw new Violation(
      'committed on a quorum',
      `node ${nodeId} commits ${index} of term ${term}, durable on ${holders.join(', ')} of ${voters.join(', ')}` +
        (outgoing.length > 0 ? ` and ${outgoing.join(', ')}` : ''),
    );
  }

  /**
   * Leader completeness from the other end: every node that can be elected has the committed entry. So no node without
   * it may have a log that a quorum, of the configuration which that node knows, would vote for.
   */
  private checkNoLoss(index: number): void {
    const { term } = this.committed[index - 1]!;
    for (const [candidate, record] of [...this.records, ...this.twins]) {
      const configuration = this.configurations.ofRecord(record);
      if (!configuration || record.holds(index, term)) continue;
      if (record.incarnation !== namedIncarnation(configuration, candidate)) continue; // it cannot be elected
      const { end } = record;
      const wouldVote = (voter: NodeId): boolean => {
        const own = this.rightful(configuration, voter)?.end;
        return own !== undefined && (end.term > own.term || (end.term === own.term && end.index >= own.index));
      };
      if (isQuorum(configuration, wouldVote))
        throw new Violation(
          'leader completeness',
          `the entry at ${index} of term ${term} counts as committed, but node ${candidate} could be elected without it`,
        );
    }
  }

  /**
   * A leader asks a node to stand for election: one with its whole log, unless the leader is leaving (thesis, 3.10).
   */
  callsElection(nodeId: NodeId, core: RaftCore, target: NodeId): void {
    if (core.role !== 'leader' || core.transferTarget !== target) return;
    // The second half of a change is appended without a request, and may be younger than the call.
    const index = core.configurationIndex === core.lastIndex ? core.lastIndex - 1 : core.lastIndex;
    const term = core.termAt(index);
    const record = this.rightful(core.configuration, target);
    if (record && term !== undefined && !record.holds(index, term))
      throw new Violation('transfer', `node ${nodeId} hands over to node ${target}, which lacks the entry at ${index}`);
  }

  /** A snapshot is saved or installed; checked when the commits of the same step are known. */
  snapshotTaken(nodeId: NodeId, metadata: SnapshotMetadata): void {
    this.snapshots.push({ nodeId, metadata });
  }

  /** The step has ended, and all its nodes were checked. */
  endStep(): void {
    for (const { nodeId, metadata } of this.snapshots.splice(0)) this.checkSnapshot(nodeId, metadata);
  }

  private checkSnapshot(nodeId: NodeId, { index, term, configuration }: SnapshotMetadata): void {
    if (this.committed[index - 1]?.term !== term)
      throw new Violation('state machine safety', `a snapshot of node ${nodeId} ends at ${index} of term ${term}`);
    this.configurations.checkSnapshot(nodeId, index, configuration);
  }
}

/** The incarnation with the rights of that id: looked up here, not by the library under test. */
function namedIncarnation({ members }: Configuration, voter: NodeId): Incarnation | undefined {
  return members.find(({ nodeId }) => nodeId === voter)?.incarnation;
}
