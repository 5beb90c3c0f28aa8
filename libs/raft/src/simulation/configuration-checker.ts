import { decodeConfiguration } from '../core/membership/configuration-codec.js';
import type { RaftCore } from '../core/raft-core.js';
import type { Configuration, Entry, NodeId } from '../core/types.js';
import type { DurableRecord } from './durable-record.js';
import { majoritiesMeet } from './quorum-rule.js';
import { Violation } from './violation.js';

interface Committed {
  readonly index: number;
  readonly configuration: Configuration;
}

/** Checks that every node uses the latest configuration in its log, and that all have the same one there. */
export class ConfigurationChecker {
  /** by "index term" */
  private readonly standing = new Map<string, Configuration>();
  /** ascending by index */
  private readonly committedOnes: Committed[] = [];
  private readonly texts = new WeakMap<Configuration, string>();

  /** The latest committed one; undefined before the group has begun. */
  get latest(): Committed | undefined {
    return this.committedOnes.at(-1);
  }

  get changeCount(): number {
    return Math.max(0, this.committedOnes.length - 1);
  }

  /** The first entry was never durable, and no entry followed it. */
  foundedAnew(): void {
    this.standing.clear();
    this.committedOnes.length = 0;
  }

  /** An entry with a configuration is written to a disk. */
  written({ index, term, data }: Entry): void {
    const key = `${index} ${term}`;
    if (this.standing.has(key)) return;
    const configuration = decodeConfiguration(data);
    if (!configuration) throw new Violation('configuration', `the one at ${index} of term ${term} cannot be read`);
    this.standing.set(key, configuration);
  }

  /** The configuration in an entry, if there is one. */
  standingAt(index: number, term: number): Configuration | undefined {
    return this.standing.get(`${index} ${term}`);
  }

  committed(index: number, term: number): void {
    const configuration = this.standingAt(index, term);
    if (!configuration) return;
    const before = this.latest?.configuration;
    if (before) this.checkStep(index, before, configuration);
    this.committedOnes.push({ index, configuration });
  }

  /** Voters change by a joint configuration, or one at a time (paper, section 6; thesis, 4.1). */
  private checkStep(index: number, before: Configuration, after: Configuration): void {
    const isLeft = before.outgoing.length > 0 && this.same(after.voters, before.voters) && after.outgoing.length === 0;
    const isEntered = before.outgoing.length === 0 && this.same(after.outgoing, before.voters);
    const isJoint = before.outgoing.length + after.outgoing.length > 0;
    if (isLeft || isEntered || (!isJoint && majoritiesMeet(before.voters, after.voters))) return;
    throw new Violation(
      'configuration',
      `at ${index} voters ${before.voters.join()}/${before.outgoing.join()} became ` +
        `${after.voters.join()}/${after.outgoing.join()} in one step`,
    );
  }

  /** @param handed the entry with the latest configuration that the node has given to its disk */
  look(nodeId: NodeId, core: RaftCore, handed: Pick<Entry, 'index' | 'term'> | undefined): void {
    const { configuration, configurationIndex, commitIndex } = core;
    if (handed && handed.index > configurationIndex && core.termAt(handed.index) === handed.term)
      throw new Violation(
        'configuration',
        `node ${nodeId} uses the one of ${configurationIndex}, the latest in its log stands at ${handed.index}`,
      );
    const committed = this.at(commitIndex);
    if (!committed) return;
    if (configurationIndex < committed.index)
      throw new Violation(
        'configuration',
        `node ${nodeId} uses the one of ${configurationIndex}, but has committed that of ${committed.index}`,
      );
    if (configurationIndex > commitIndex) return;
    const expected = this.at(configurationIndex)?.configuration;
    if (expected && expected !== configuration && this.text(expected) !== this.text(configuration))
      throw new Violation(
        'configuration',
        `node ${nodeId} uses at ${configurationIndex} another one than the group: ${this.text(configuration)}`,
      );
  }

  checkSnapshot(nodeId: NodeId, index: number, configuration: Configuration): void {
    const expected = this.at(index)?.configuration;
    if (expected && this.text(expected) !== this.text(configuration))
      throw new Violation(
        'configuration',
        `a snapshot of node ${nodeId} at ${index} has another one than the group: ${this.text(configuration)}`,
      );
  }

  /** The configuration in a node's log and snapshot. */
  ofRecord({ lastConfiguration, snapshot }: DurableRecord): Configuration | undefined {
    if (lastConfiguration) return this.standingAt(lastConfiguration.index, lastConfiguration.term);
    return snapshot.index > 0 ? this.at(snapshot.index)?.configuration : undefined;
  }

  /** The latest committed one up to `index`. */
  private at(index: number): Committed | undefined {
    return this.committedOnes.findLast((committed) => committed.index <= index);
  }

  private text(configuration: Configuration): string {
    let text = this.texts.get(configuration);
    if (text === undefined) this.texts.set(configuration, (text = JSON.stringify(configuration)));
    return text;
  }

  private same(left: readonly NodeId[], right: readonly NodeId[]): boolean {
    return left.length === right.length && left.every((nodeId) => right.includes(nodeId));
  }
}
