import { invariant } from '@concordat/foundation';
import { decodeConfiguration } from './configuration-codec.js';
import type { Configuration, Entry } from '../types.js';

interface Version {
  /** of its entry, or of the snapshot (or start of the log) it came with */
  readonly index: number;
  readonly configuration: Configuration;
}

/**
 * The configurations in the log, by index. A node always uses the latest one in its log, committed or not (paper,
 * section 6), so a truncation restores the one before.
 */
export class ConfigurationHistory {
  /** ascending by index; the first belongs to what was compacted, and is never removed */
  private versions: Version[];

  constructor(index: number, configuration: Configuration) {
    this.versions = [{ index, configuration }];
  }

  get latest(): Configuration {
    return this.versions[this.versions.length - 1]!.configuration;
  }

  get latestIndex(): number {
    return this.versions[this.versions.length - 1]!.index;
  }

  /** The configuration in force at `index`, which is not compacted. */
  at(index: number): Configuration {
    const version = this.versions.findLast((candidate) => candidate.index <= index);
    invariant(version, 'the configuration of a compacted index is not asked for');
    return version.configuration;
  }

  appended(entry: Entry): void {
    const configuration = decodeConfiguration(entry.data);
    invariant(configuration, 'only sound configurations get into a log');
    invariant(entry.index > this.latestIndex, 'configurations follow each other');
    this.versions.push({ index: entry.index, configuration });
  }

  truncatedFrom(index: number): void {
    while (this.versions.length > 1 && this.versions.at(-1)!.index >= index) this.versions.pop();
  }

  compactedTo(index: number): void {
    const base = this.at(index);
    this.versions = [{ index, configuration: base }, ...this.versions.filter((version) => version.index > index)];
  }
}
