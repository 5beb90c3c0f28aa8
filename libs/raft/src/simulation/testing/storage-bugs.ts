import type { InjectedBug } from './injected-bug.js';

const CRASH_CONSISTENCY = 'many (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014)';

/** Snapshots and what is on the disk. */
export const STORAGE_BUGS: readonly InjectedBug[] = [
  {
    name: 'snapshot without configuration',
    what: 'A snapshot carries the configuration that the log began with, not the one at its index.',
    rule: 'paper, 7; thesis, 5.1',
    whoMadeIt: 'who adds membership changes after snapshots',
    edits: [
      {
        file: 'libs/raft/src/core/raft-core.ts',
        find: 'return { index, term, configuration: this.raft.log.configurationAt(index) };',
        replace: 'return { index, term, configuration: this.raft.log.configurationAt(this.raft.log.startIndex) };',
      },
    ],
  },
  {
    name: 'snapshot loses the tail',
    what: 'A snapshot says that it holds everything committed; it holds what is applied.',
    rule: 'paper, 7: "last included index"',
    whoMadeIt: 'Redis-Raft (lost updates around snapshots; Jepsen, 2020)',
    edits: [
      {
        file: 'libs/raft/src/driver/snapshot-keeper.ts',
        find: 'const metadata = core.snapshotMetadata(appliedIndex);',
        replace: 'const metadata = core.snapshotMetadata(core.commitIndex);',
      },
    ],
  },
  {
    name: 'applied twice after a restart',
    what: 'A snapshot says less than it holds, so the entries in between are applied a second time.',
    rule: 'paper, 7 and 8',
    whoMadeIt: 'etcd 3.5.0 to 3.5.2 (consistent index; postmortem, 2022)',
    edits: [
      {
        file: 'libs/raft/src/driver/snapshot-keeper.ts',
        find: 'const metadata = core.snapshotMetadata(appliedIndex);',
        replace:
          'const metadata = core.snapshotMetadata(core.compactionIndex(appliedIndex, TAIL_ENTRIES, thresholds.afterBytes / 4));',
      },
    ],
  },
  {
    name: 'snapshot pieces without offset',
    what: 'Pieces of a snapshot are strung together as they come, and the whole is not checked.',
    rule: 'paper, figure 13, offset',
    whoMadeIt: 'who trusts the order of a network',
    edits: [
      {
        file: 'libs/raft/src/storage/received-snapshot.ts',
        find: 'data.length === 0 || offset !== transfer.progress.nextOffset) return;',
        replace: 'data.length === 0) return;',
      },
      {
        file: 'libs/raft/src/storage/received-snapshot.ts',
        find: 'nextOffset: offset + data.length,',
        replace: 'nextOffset: transfer.progress.nextOffset + data.length,',
      },
      {
        file: 'libs/raft/src/storage/received-snapshot.ts',
        find: 'await file.write(data, header.headerBytes + offset);',
        replace: 'await file.write(data, header.headerBytes + transfer.progress.nextOffset);',
      },
      {
        file: 'libs/raft/src/storage/received-snapshot.ts',
        find: 'if (transfer.progress.checksum !== transfer.header.checksum) {',
        replace: 'if (transfer.progress.checksum < 0) {',
      },
      {
        file: 'libs/raft/src/storage/snapshot-file.ts',
        find: "if (found !== checksum) throw new LogCorruptedError(path, headerBytes, 'the checksum of the snapshot is wrong');",
        replace: 'if (found === undefined) throw new LogCorruptedError(path, headerBytes, String(checksum));',
      },
    ],
  },
  {
    name: 'newer snapshot replaces the one being sent',
    what: 'Snapshots are taken when they are due, and a follower that was being sent the last one begins with the next.',
    rule: 'this library: the next snapshot waits while a follower is being sent the last one',
    whoMadeIt: 'this library until a follower behind a slow link never got one',
    edits: [
      {
        file: 'libs/raft/src/driver/snapshot-keeper.ts',
        find: '!this.schedule.isDue(core.needsLog) ||',
        replace: '!this.schedule.isDue(core.needsLog && core.commitIndex < 0) ||',
      },
    ],
  },
  {
    name: 'late pieces taken for lost ones',
    what: 'Each answer to a piece that came twice makes the leader send its whole window of a snapshot again.',
    rule: 'RFC 5681 and 6582: what was sent before a repetition says nothing about what came after it',
    whoMadeIt: 'congestion collapse (RFC 896, 1984); this library, more mildly, until its simulation had narrow links',
    edits: [
      {
        file: 'libs/raft/src/core/snapshots/snapshot-sending.ts',
        find: 'return this.wanted <= this.recoveryOffset;',
        replace: 'return this.wanted < 0;',
      },
    ],
  },
  {
    name: 'compaction before the snapshot is durable',
    what: 'The log is cut while the snapshot that stands for it is still being written.',
    rule: 'thesis, 5.1.3',
    whoMadeIt: 'who saves snapshots in the background',
    edits: [
      {
        file: 'libs/raft/src/driver/snapshot-keeper.ts',
        find: "    if (!(await this.options.storage.saveSnapshot(snapshot))) return 'no-room';\n    this.newestIndex = index;\n    await this.options.storage.compact(compactTo);",
        replace:
          "    await this.options.storage.compact(compactTo);\n    if (!(await this.options.storage.saveSnapshot(snapshot))) return 'no-room';\n    this.newestIndex = index;",
      },
      {
        file: 'libs/raft/src/storage/file-storage.ts',
        find: "        index <= (this.latestSnapshot?.metadata.index ?? 0),\n        'only what a durable snapshot covers is forgotten',",
        replace: "        index >= 0,\n        'an index is not negative',",
      },
    ],
  },
  {
    name: 'log written without fsync',
    what: 'A write to the log counts as durable when the system has taken it.',
    rule: 'paper, figure 2, persistent state',
    whoMadeIt: CRASH_CONSISTENCY,
    edits: [
      {
        file: 'libs/raft/src/storage/segmented-log.ts',
        find: 'await tail.file.writeDurably(this.buffer.subarray(0, end), tail.offset);',
        replace: 'await tail.file.write(this.buffer.subarray(0, end), tail.offset);',
      },
    ],
  },
  {
    name: 'failed fsync tried again',
    what: 'A sync that failed is repeated; the second one succeeds and writes nothing.',
    rule: 'Rebello et al., ATC 2020',
    whoMadeIt: 'PostgreSQL for twenty years ("fsyncgate", 2018)',
    edits: [
      {
        file: 'libs/raft/src/storage/segmented-log.ts',
        find: 'await tail.file.writeDurably(this.buffer.subarray(0, end), tail.offset);',
        replace:
          'await tail.file.writeDurably(this.buffer.subarray(0, end), tail.offset).catch(() => tail.file.sync());',
      },
    ],
  },
  {
    name: 'new segment without fsync of its directory',
    what: 'The name of a new segment is not made durable before entries in it are acknowledged.',
    rule: 'fsync(2): the entry in the directory needs one of its own',
    whoMadeIt: CRASH_CONSISTENCY,
    edits: [
      {
        file: 'libs/raft/src/storage/segmented-log.ts',
        find: '    await fileSystem.rename(sparePath, path);\n    await fileSystem.syncDirectory(directory);\n',
        replace: '    await fileSystem.rename(sparePath, path);\n',
      },
    ],
  },
  {
    name: 'torn tail not cut',
    what: 'The remains of an unfinished write stay behind the end of the log.',
    rule: 'this library: a torn tail is cut at the start',
    whoMadeIt: CRASH_CONSISTENCY,
    edits: [
      {
        file: 'libs/raft/src/storage/segmented-log.ts',
        find: "if (content.ending.type === 'torn') {",
        replace: "if (content.ending.type === 'cut') {",
      },
    ],
  },
  {
    name: 'rotten middle cut as a torn tail',
    what: 'Whatever cannot be read ends the log, although acknowledged entries follow.',
    rule: 'Alagappan et al., "Protocol-Aware Recovery", FAST 2018',
    whoMadeIt: 'systems that the paper examined',
    edits: [
      {
        file: 'libs/raft/src/storage/segment-scan.ts',
        find: 'if (later !== undefined) return damaged(`the frame there is not valid, but valid data follow at byte ${later}`);',
        replace: "if (later !== undefined) return finish({ type: 'torn' });",
      },
      {
        file: 'libs/raft/src/storage/segment-scan.ts',
        find: "    return damaged('the bytes there are neither a valid frame nor an interrupted write');",
        replace: "    return finish({ type: 'torn' });",
      },
    ],
  },
  {
    name: 'hard state lost with its segment',
    what: 'A new segment does not repeat term and vote, and they go when the older segments are removed.',
    rule: 'this library: every segment begins with the hard state',
    whoMadeIt: 'who compacts a log that holds more than entries',
    edits: [
      {
        file: 'libs/raft/src/storage/segmented-log.ts',
        find: 'await this.roll({ hardState: record.hardState ?? this.hardState, entries: record.entries }, lastIndex);',
        replace: 'await this.roll({ hardState: record.hardState, entries: record.entries }, lastIndex);',
      },
      {
        file: 'libs/raft/src/storage/segment-scan.ts',
        find: "    if (records.length === 0 && !record.hardState) return damaged('the first frame has no hard state');\n",
        replace: '',
      },
    ],
  },
  {
    name: 'installed snapshot leaves old entries',
    what: "The log does not begin anew behind the leader's snapshot; what contradicted it comes back at the next start.",
    rule: 'paper, figure 13, step 7: "discard the entire log"',
    whoMadeIt: 'who writes the snapshot and the reset in two steps',
    edits: [
      {
        file: 'libs/raft/src/storage/file-storage.ts',
        find: 'await this.received.install(metadata, this.log.nextSequence);',
        replace: 'await this.received.install(metadata, this.resetSequence);',
      },
    ],
    family: 'snapshots',
  },
];
