import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FileStorage } from '../file-storage.js';
import type { FileSystem } from '../file-system.js';
import { MemoryFileSystem } from '../testing/memory-file-system.js';
import { goldenName, goldenOwner } from '../testing/golden-files.js';
import { entriesFrom, memoryDirectory, memoryStorage, snapshotAt } from '../testing/storage-model.js';
import { runWalTool } from './run.js';

const golden = join(import.meta.dirname, '..', 'testing', 'golden', goldenName);

interface Outcome {
  readonly status: number;
  readonly printed: string;
  readonly complaint: string;
}

/** Runs the tool on files that cannot be written. */
async function run(args: readonly string[], fileSystem?: FileSystem): Promise<Outcome> {
  const printed: string[] = [];
  const complaints: string[] = [];
  const status = await runWalTool(args, {
    print: (line) => void printed.push(line),
    complain: (line) => void complaints.push(line),
    ...(fileSystem && { fileSystem: readOnly(fileSystem) }),
  });
  return { status, printed: printed.join('\n'), complaint: complaints.join('\n') };
}

function readOnly(fileSystem: FileSystem): FileSystem {
  const refuse = (): never => {
    throw new Error('the tool never writes');
  };
  return {
    list: (path) => fileSystem.list(path),
    readFile: (path) => fileSystem.readFile(path),
    open: async (path, mode) => {
      if (mode !== 'read') refuse();
      const file = await fileSystem.open(path, mode);
      return {
        read: (buffer, position) => file.read(buffer, position),
        size: () => file.size(),
        close: () => file.close(),
        write: refuse,
        writeDurably: refuse,
        sync: refuse,
      };
    },
    availableBytes: (path) => fileSystem.availableBytes(path),
    makeDirectory: refuse,
    createExclusively: refuse,
    rename: refuse,
    remove: refuse,
    syncDirectory: refuse,
  };
}

async function goldenFiles(): Promise<MemoryFileSystem> {
  const names = await readdir(golden);
  const files = await Promise.all(
    names.map(async (name) => [`${memoryDirectory}/${name}`, await readFile(join(golden, name))] as const),
  );
  return MemoryFileSystem.of(new Map(files));
}

describe('concordat-wal inspect', () => {
  it('prints segments with their frames, snapshots, and what is being received', async () => {
    const { status, printed } = await run(['inspect', memoryDirectory], await goldenFiles());
    expect(status).toBe(0);
    const lines = printed.split('\n');
    expect(lines[0]).toBe('/data: node 2 of cluster "golden, Größe 2", incarnation dfc4ebb42406, not in use');
    for (const expected of [
      /^0000000000000001\.wal {2}1536 bytes, format 3, salt [0-9a-f]{8}, frames 1 to 2$/,
      /^ {2}byte 512 {2}frame 1 {2}term 0, vote none, commit 0$/,
      /^ {2}byte 565 {2}frame 2 {2}term 1, vote 2, commit 0$/,
      /^ {4}entry 1 {2}term 1 {2}no-op {2}0 bytes$/,
      /^ {4}entry 21 {2}term 6 {2}configuration {2}\d+ bytes {2}group 000000000001, voters 2 \(000000000001\) 3 .*, outgoing 1 .*, learners 5 \(c0ffee123456\)$/,
      /^0000000000000009-0000000000000002\.snapshot {2}index 9, term 2, group 000000000001, voters 2 \(000000000001\) 3 .*, 700 bytes of data$/,
      /^received\.partial {2}300 of 1000 bytes of the snapshot at index 77, term 6$/,
    ])
      expect(lines).toContainEqual(expect.stringMatching(expected));
    expect(printed).not.toContain('DAMAGED');
  });

  it('shows the entries of a range, with their data', async () => {
    const { printed } = await run(
      ['inspect', '--from', '19', '--to', '20', '--data', memoryDirectory],
      await goldenFiles(),
    );
    const shown = printed.split('\n').filter((line) => line.startsWith('    entry'));
    expect(shown.map((line) => line.trim().split('  ').slice(0, 2).join(', '))).toEqual([
      'entry 19, term 2',
      'entry 20, term 2',
      'entry 19, term 5',
      'entry 20, term 5',
    ]);
    expect(printed).toContain(`      "command 19 of term 2, `);
    expect(printed).toContain(`      0x${'00'.repeat(1300)}\n`);
  });

  it('prints one JSON object per line on demand', async () => {
    const { printed } = await run(['inspect', '--json', '--data', memoryDirectory], await goldenFiles());
    const values = printed.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(values[0]).toMatchObject({ type: 'directory', nodeId: 2, clusterName: goldenOwner.clusterName });
    expect(values[1]).toMatchObject({ type: 'segment', firstSequence: 1, ending: 'zeros', sizeBytes: 1536 });
    const firstFrame = {
      offset: 512,
      sequence: 1,
      hardState: { term: 0, vote: 0, commitIndex: 0 },
      entries: [],
    };
    expect(values[1]?.frames).toEqual(expect.arrayContaining([firstFrame]));
    expect(values.find(({ type }) => type === 'snapshot')).toMatchObject({ metadata: { index: 9, term: 2 } });
    expect(values.find(({ type }) => type === 'received')).toMatchObject({ receivedBytes: 300, sizeBytes: 1000 });
  });

  it('shows what stands before the damage', async () => {
    const fileSystem = await goldenFiles();
    fileSystem.tamper(`${memoryDirectory}/0000000000000001.wal`, (content) => content.fill(0xff, 700, 702));
    const { status, printed } = await run(['inspect', memoryDirectory], fileSystem);
    expect(status).toBe(1);
    expect(printed).toContain('  byte 512  frame 1  term 0, vote none, commit 0\n  DAMAGED at byte 565: ');
  });
});

describe('concordat-wal verify', () => {
  it('has a line for every file and a summary', async () => {
    const { status, printed } = await run(['verify', memoryDirectory], await goldenFiles());
    expect(status).toBe(0);
    const lines = printed.split('\n');
    expect(lines.slice(1, -1).every((line) => / {2}OK {2}/.test(line))).toBe(true);
    expect(lines).toContain('0000000000000001.wal  OK  frames 1 to 2');
    expect(lines.at(-1)).toBe('sound: term 6, vote none, commit 19; snapshot at 9; entries 10 to 21');
    const json = await run(['verify', '--json', memoryDirectory], await goldenFiles());
    expect(JSON.parse(json.printed.split('\n').at(-1) ?? '')).toEqual({
      type: 'summary',
      sound: true,
      damagedFiles: 0,
      hardState: { term: 6, vote: 0, commitIndex: 19 },
      snapshotIndex: 9,
      firstIndex: 10,
      lastIndex: 21,
    });
  });

  it('finds every flipped bit that counts, and agrees with the start of a node', async () => {
    const original = await goldenFiles();
    for (const path of original.paths()) {
      const size = (await original.readFile(path)).length;
      for (let at = 0; at < size; at += 37) {
        const fileSystem = MemoryFileSystem.of(original.files());
        fileSystem.tamper(path, (content) => content.fill((content[at] ?? 0) ^ 4, at, at + 1));
        const { status, printed } = await run(['verify', memoryDirectory], fileSystem);
        const storage = memoryStorage(fileSystem, goldenOwner);
        const starts = await storage.open().then(
          () => true,
          () => false,
        );
        await storage.close();
        const name = path.slice(memoryDirectory.length + 1);
        if (status === 0) expect(starts).toBe(true);
        else expect(printed).toContain(`${name}  DAMAGED at byte `);
        if (!starts) expect(status).toBe(1);
      }
    }
  });

  it('looks again when a running node has removed a snapshot that was listed', async () => {
    const fileSystem = new MemoryFileSystem();
    const storage = memoryStorage(fileSystem);
    await storage.open();
    for (let index = 1; index <= 40; index++) await storage.persist({ entries: entriesFrom(index, 1, 1) });
    await storage.saveSnapshot(snapshotAt(30, 1));
    await storage.compact(30);
    const view = Object.create(fileSystem) as MemoryFileSystem;
    let changes = 0;
    view.open = async (path, mode) => {
      if (path.endsWith('.snapshot') && changes++ === 0) {
        for (const index of [35, 38]) await storage.saveSnapshot(snapshotAt(index, 1));
        await storage.saveSnapshot(snapshotAt(40, 1));
      }
      return fileSystem.open(path, mode);
    };
    const { status, printed, complaint } = await run(['verify', memoryDirectory], view);
    expect([status, complaint]).toEqual([0, 'concordat-wal: the node removed files meanwhile']);
    expect(printed.split('\n').at(-1)).toBe('sound: term 0, vote none, commit 0; snapshot at 40; no entries behind it');
    await storage.close();
  });

  it('names the place of the damage, once', async () => {
    const fileSystem = await goldenFiles();
    fileSystem.tamper(`${memoryDirectory}/0000000000000003.wal`, (content) => content.fill(0xff, 700, 702));
    const { status, printed } = await run(['verify', memoryDirectory], fileSystem);
    expect(status).toBe(1);
    const lines = printed.split('\n');
    expect(lines.filter((line) => line.includes('DAMAGED'))).toEqual([
      expect.stringMatching(/^0000000000000003\.wal {2}DAMAGED at byte \d+: /),
      'DAMAGED: one file',
    ]);
  });

  it('finds missing files', async () => {
    const fileSystem = await goldenFiles();
    await fileSystem.remove(`${memoryDirectory}/0000000000000005.wal`);
    const { status, printed } = await run(['verify', memoryDirectory], fileSystem);
    expect(status).toBe(1);
    expect(printed).toContain('0000000000000006.wal  DAMAGED at byte 16: it does not continue frame 4');
    const onlySnapshot = await goldenFiles();
    for (const path of onlySnapshot.paths()) if (path.endsWith('.wal')) await onlySnapshot.remove(path);
    const without = await run(['verify', memoryDirectory], onlySnapshot);
    expect(without.status).toBe(1);
    expect(without.printed).toContain('DAMAGED: there are snapshots, but no segment of the log');
  });

  it('tells a torn tail, files of another node, and files that are none of the log', async () => {
    const fileSystem = new MemoryFileSystem();
    const storage = memoryStorage(fileSystem);
    await storage.open();
    await storage.persist({ entries: entriesFrom(1, 1, 1, 1200) });
    const files = fileSystem.files();
    await storage.close();
    files.set(`${memoryDirectory}/notes.txt`, Buffer.from('mine'));
    const torn = MemoryFileSystem.of(files);
    torn.tamper(`${memoryDirectory}/0000000000000001.wal`, (content) => content.fill(0, 1024, 1536));
    const { status, printed } = await run(['verify', memoryDirectory], torn);
    expect(status).toBe(0);
    expect(printed).toContain('frames 1 to 1; at byte 565 an unfinished write, which the next start cuts');
    expect(printed).toContain('notes.txt  -  not a file of the log');
    for (const [path, content] of (await goldenFiles()).files())
      if (path.endsWith('.snapshot')) files.set(path, content);
    const mixed = await run(['verify', memoryDirectory], MemoryFileSystem.of(files));
    expect(mixed.status).toBe(1);
    expect(mixed.printed).toContain('belongs to node 2 of cluster "golden, Größe 2", not to node 1 of cluster "test"');
  });
});

describe('concordat-wal on the machine’s files', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'concordat-wal-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('looks at the directory of a running node, and changes nothing', async () => {
    const storage = new FileStorage({ directory, nodeId: 3, segmentSizeBytes: 4096 });
    await storage.open();
    for (let index = 1; index <= 50; index++) await storage.persist({ entries: entriesFrom(index, 1, 1) });
    await storage.saveSnapshot(snapshotAt(40, 1));
    const before = await readdir(directory);
    const { status, printed } = await run(['verify', directory]);
    expect(status).toBe(0);
    expect(printed).toMatch(
      new RegExp(`${directory}: node 3, incarnation [0-9a-f]{12}, in use by process ${process.pid}: it may change`),
    );
    expect(printed.split('\n').at(-1)).toBe('sound: term 0, vote none, commit 0; snapshot at 40; entries 41 to 50');
    expect(await readdir(directory)).toEqual(before);
    await storage.persist({ entries: entriesFrom(51, 1, 1) });
    await storage.close();
  });

  it('stays right while the node writes and compacts', async () => {
    const storage = new FileStorage({ directory, nodeId: 3, segmentSizeBytes: 2048 });
    await storage.open();
    const stop = new AbortController();
    const written = (async () => {
      for (let index = 1; !stop.signal.aborted || index % 20 !== 1; index++) {
        await storage.persist({ entries: entriesFrom(index, 1, 1) });
        if (index % 20 === 0) await storage.saveSnapshot(snapshotAt(index, 1)).then(() => storage.compact(index));
      }
    })();
    const outcomes: Outcome[] = [];
    for (let look = 0; look < 30; look++) outcomes.push(await run(['verify', directory]));
    stop.abort();
    await written;
    await storage.close();
    expect(outcomes.filter(({ status }) => status !== 0)).toEqual([]);
  });

  it('says what is wrong with a directory or a command', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    const cases: [string[], string][] = [
      [['inspect', join(directory, 'none')], `there is no directory ${join(directory, 'none')}`],
      [['verify', file], `${file} is not a directory`],
      [['verify', directory], `${directory} holds no segment and no snapshot; is it the directory of a node's log?`],
      [['verify'], 'the directory is missing; see concordat-wal --help'],
      [[], 'the command is missing: inspect or verify; see concordat-wal --help'],
      [['repair', directory], 'there is no command "repair"; see concordat-wal --help'],
      [['verify', directory, directory], 'there is more than one directory; see concordat-wal --help'],
      [['verify', '--data', directory], '--from, --to and --data are for inspect only; see concordat-wal --help'],
      [['inspect', '--from', 'x', directory], '--from and --to are followed by an index; see concordat-wal --help'],
    ];
    for (const [args, complaint] of cases)
      expect(await run(args)).toEqual({ status: 2, printed: '', complaint: `concordat-wal: ${complaint}` });
    const unknown = await run(['verify', '--wrong', directory]);
    expect([unknown.status, unknown.complaint]).toEqual([2, expect.stringContaining("'--wrong'")]);
    const help = await run(['--help']);
    expect([help.status, help.printed]).toEqual([0, expect.stringContaining('Usage: concordat-wal inspect')]);
  });
});
