import { closeSync, constants, fdatasync, fsyncSync, openSync, write, writeSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * The bound that no consensus over three Node processes can beat: a replicated log without its rules. A leader that
 * nobody elected and that may not fail, two followers that believe everything, and only what durability by majority
 * costs: the bytes go over TCP to both followers and into a preallocated file of each process, and a command is done
 * when two of the three files hold it durably. There are no terms, checks, checksums, recovery or compaction; a full
 * file is written from its beginning again.
 *
 * A frame, alike on the wire and in the file (all integers big-endian):
 * `u32` bytes behind this field, `u48` index of the last command, then `u32` length and bytes of each command.
 * An answer: `u32` 6, `u48` index of the last durable command.
 */
const LENGTH_BYTES = 4;
const INDEX_BYTES = 6;
const HEADER_BYTES = LENGTH_BYTES + INDEX_BYTES;

const FILE_BYTES = 64 * 1024 * 1024;

/** Where one write makes it durable, in one trip through the thread pool; elsewhere fdatasync follows. */
const SYNCHRONOUS_WRITES = process.platform === 'linux';

/** Takes a stream apart into frames, wherever it was cut. */
class FrameReader {
  private rest: Buffer = Buffer.alloc(0);

  constructor(private readonly onFrame: (frame: Buffer) => void) {}

  push(chunk: Buffer): void {
    let buffer = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    while (buffer.length >= LENGTH_BYTES) {
      const frameBytes = LENGTH_BYTES + buffer.readUInt32BE(0);
      if (buffer.length < frameBytes) break;
      this.onFrame(buffer.subarray(0, frameBytes));
      buffer = buffer.subarray(frameBytes);
    }
    this.rest = buffer;
  }
}

/** A preallocated file with one durable write in flight at most; what is added meanwhile goes with the next. */
class BareFile {
  private readonly descriptor: number;
  private offset = 0;
  private waiting: Buffer[] = [];
  private waitingIndex = 0;
  private writing = false;

  constructor(
    path: string,
    private readonly onDurable: (index: number) => void,
    private readonly onFailure: (error: Error) => void,
  ) {
    const create = openSync(path, 'w');
    const zeros = Buffer.alloc(1024 * 1024);
    for (let at = 0; at < FILE_BYTES; at += zeros.length) writeSync(create, zeros, 0, zeros.length, at);
    fsyncSync(create);
    closeSync(create);
    this.descriptor = openSync(path, constants.O_RDWR | (SYNCHRONOUS_WRITES ? constants.O_DSYNC : 0));
  }

  /** Whether nothing is on its way to the disk. */
  get isIdle(): boolean {
    return !this.writing;
  }

  add(frame: Buffer, lastIndex: number): void {
    this.waiting.push(frame);
    this.waitingIndex = lastIndex;
    if (!this.writing) this.writeNext();
  }

  close(): void {
    closeSync(this.descriptor);
  }

  private writeNext(): void {
    const data = this.waiting.length === 1 ? this.waiting[0]! : Buffer.concat(this.waiting);
    const index = this.waitingIndex;
    this.waiting = [];
    if (this.offset + data.length > FILE_BYTES) this.offset = 0;
    this.writing = true;
    const done = (error: Error | null): void => {
      if (error) return this.onFailure(error);
      this.writing = false;
      if (this.waiting.length > 0) this.writeNext();
      this.onDurable(index);
    };
    write(this.descriptor, data, 0, data.length, this.offset, (error, written) => {
      if (error) return this.onFailure(error);
      if (written !== data.length) return this.onFailure(new Error('the disk took only a part of a write'));
      if (SYNCHRONOUS_WRITES) done(null);
      else fdatasync(this.descriptor, done);
    });
    this.offset += data.length;
  }
}

/** Receives frames, makes them durable and says so. Listens on loopback. */
export class BareFollower {
  durableIndex = 0;
  private readonly server: Server;
  private readonly file: BareFile;
  private leader: Socket | undefined;

  constructor(path: string, onFailure: (error: Error) => void) {
    this.file = new BareFile(path, (index) => this.acknowledge(index), onFailure);
    this.server = createServer({ noDelay: true }, (socket) => {
      this.leader = socket;
      const reader = new FrameReader((frame) => this.file.add(frame, frame.readUIntBE(LENGTH_BYTES, INDEX_BYTES)));
      socket.on('data', (chunk) => reader.push(chunk));
      socket.on('error', onFailure);
    });
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', resolve);
    });
  }

  close(): void {
    this.leader?.destroy();
    this.server.close();
    this.file.close();
  }

  private acknowledge(index: number): void {
    this.durableIndex = index;
    const answer = Buffer.allocUnsafe(HEADER_BYTES);
    answer.writeUInt32BE(INDEX_BYTES, 0);
    answer.writeUIntBE(index, LENGTH_BYTES, INDEX_BYTES);
    this.leader?.write(answer);
  }
}

interface Batch {
  readonly lastIndex: number;
  readonly resolvers: readonly ((index: number) => void)[];
}

/** Takes commands, one frame for all that come while the disk is busy, and resolves them by majority. */
export class BareLeader {
  private readonly file: BareFile;
  private readonly followers: Socket[] = [];
  /** of the own file and of each follower */
  private readonly durable: number[] = [0];
  private lastIndex = 0;
  private commitIndex = 0;
  private commands: Uint8Array[] = [];
  private resolvers: ((index: number) => void)[] = [];
  private batches: Batch[] = [];
  private flushScheduled = false;

  constructor(
    path: string,
    private readonly onFailure: (error: Error) => void,
  ) {
    this.file = new BareFile(path, (index) => this.ownDurable(index), onFailure);
  }

  get committedIndex(): number {
    return this.commitIndex;
  }

  async connect(port: number): Promise<void> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const position = this.durable.push(0) - 1;
    const reader = new FrameReader((frame) => {
      this.durable[position] = frame.readUIntBE(LENGTH_BYTES, INDEX_BYTES);
      this.commit();
    });
    socket.on('data', (chunk) => reader.push(chunk));
    socket.on('error', this.onFailure);
    this.followers.push(socket);
  }

  /** Resolves with the index when two of three have the command durably. */
  append(command: Uint8Array): Promise<number> {
    this.commands.push(command);
    if (this.file.isIdle && !this.flushScheduled) {
      this.flushScheduled = true;
      queueMicrotask(() => this.flush()); // whoever appends in this same turn comes along
    }
    return new Promise((resolve) => this.resolvers.push(resolve));
  }

  close(): void {
    for (const socket of this.followers) socket.destroy();
    this.file.close();
  }

  private flush(): void {
    this.flushScheduled = false;
    if (this.commands.length === 0) return;
    this.lastIndex += this.commands.length;
    const frame = encodeFrame(this.commands, this.lastIndex);
    this.batches.push({ lastIndex: this.lastIndex, resolvers: this.resolvers });
    this.commands = [];
    this.resolvers = [];
    this.file.add(frame, this.lastIndex); // first the slowest part, and then what runs beside it
    for (const socket of this.followers) socket.write(frame);
  }

  private ownDurable(index: number): void {
    this.durable[0] = index;
    this.flush();
    this.commit();
  }

  private commit(): void {
    const [first = 0, second = 0, third = 0] = this.durable;
    const majority = Math.max(Math.min(first, second), Math.min(Math.max(first, second), third));
    if (majority <= this.commitIndex) return;
    this.commitIndex = majority;
    let done = 0;
    for (const batch of this.batches) {
      if (batch.lastIndex > majority) break;
      done++;
      for (const resolve of batch.resolvers) resolve(batch.lastIndex);
    }
    this.batches = this.batches.slice(done);
  }
}

function encodeFrame(commands: readonly Uint8Array[], lastIndex: number): Buffer {
  const sizeBytes = commands.reduce((sum, { length }) => sum + LENGTH_BYTES + length, HEADER_BYTES);
  const frame = Buffer.allocUnsafe(sizeBytes);
  frame.writeUInt32BE(sizeBytes - LENGTH_BYTES, 0);
  frame.writeUIntBE(lastIndex, LENGTH_BYTES, INDEX_BYTES);
  let offset = HEADER_BYTES;
  for (const command of commands) {
    offset = frame.writeUInt32BE(command.length, offset);
    frame.set(command, offset);
    offset += command.length;
  }
  return frame;
}
