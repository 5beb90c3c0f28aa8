import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rename, rm, symlink, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { guarded, invariant } from '@concordat/foundation';
import { StorageLockedError } from './errors.js';
import { hasErrorCode } from './file-system.js';

/** A process's claim to a directory, visible to every other process of the machine while this one lives. */
export interface DirectoryClaim {
  /** of its file */
  readonly name: string;
  withdraw(): Promise<void>;
}

/** Lets only one process use a directory. */
export interface DirectoryClaims {
  /**
   * @returns undefined where no claim can be made, because the file system has no sockets
   * @throws StorageLockedError when a live process has it
   */
  claim(directory: string): Promise<DirectoryClaim | undefined>;
  /** Whether the process of the claim is alive. */
  isAlive(directory: string, name: string): Promise<boolean>;
}

/** For file systems that only this process sees. */
export const noClaims: DirectoryClaims = {
  claim: () => Promise.resolve(undefined),
  isAlive: () => Promise.resolve(false),
};

type ClaimState = 'claiming' | 'held';
type ProbeResult = 'dead' | 'gone' | { readonly state: ClaimState; readonly pid: number };

const namePattern = /^lock\.[\da-f]{16}\.sock$/;
/** of a socket's path: 108 bytes on Linux, 104 on macOS, with the zero at its end */
const maximumPathBytes = 100;
/** a process that does not answer in this time counts as holding its claim */
const answerTimeoutMs = 1000;
const settleTimeoutMs = 10_000;
const pollMs = 20;

/**
 * Claims by Unix sockets in the directory. A socket answers exactly while a process has it open. The kernel knows that,
 * so it needs no process ids, and works between containers (socket files ignore namespaces of processes and networks),
 * for zombies and for stopped processes.
 *
 *     claiming --no other claim lives--> held --withdraw, death--> gone
 *     claiming --another holds it, or claims it under a lower name--> StorageLockedError
 *
 * Each process makes its claim before it reads the others, so of two at once at least one sees the other.
 */
export const socketClaims: DirectoryClaims = {
  claim: async (directory) => {
    const way = await SocketDirectory.open(directory);
    const claim = await SocketClaim.make(way);
    if (!claim) {
      await way.close();
      return undefined;
    }
    try {
      await claim.settle();
      return claim;
    } catch (error) {
      await claim.withdraw();
      throw error;
    }
  },
  isAlive: async (directory, name) => {
    const way = await SocketDirectory.open(directory);
    try {
      const found = namePattern.test(name) ? await probe(way.pathOf(name)) : 'gone';
      return typeof found === 'object';
    } finally {
      await way.close();
    }
  },
};

/** A directory by a path that is short enough for sockets: its own, a relative one, or a symbolic link. */
class SocketDirectory {
  private constructor(
    readonly directory: string,
    private readonly shortPath: string,
    private readonly link: string | undefined,
  ) {}

  static async open(directory: string): Promise<SocketDirectory> {
    const fits = (path: string): boolean =>
      Buffer.byteLength(join(path, `lock.${'0'.repeat(16)}.sock.new`)) <= maximumPathBytes;
    const short = [directory, `./${relative(process.cwd(), directory)}`].find(fits);
    if (short !== undefined) return new SocketDirectory(directory, short, undefined);
    const link = await mkdtemp(join(tmpdir(), 'raft-'));
    await symlink(directory, join(link, 'd'));
    return new SocketDirectory(directory, join(link, 'd'), link);
  }

  pathOf(name: string): string {
    return `${this.shortPath}/${name}`;
  }

  async close(): Promise<void> {
    if (this.link !== undefined) await rm(this.link, { recursive: true, force: true });
  }
}

class SocketClaim implements DirectoryClaim {
  readonly name = `lock.${randomBytes(8).toString('hex')}.sock`;
  private state: ClaimState = 'claiming';
  private readonly server: Server;

  private constructor(private readonly way: SocketDirectory) {
    const answer = (socket: Socket): void => {
      socket.on('error', () => undefined); // the client has disconnected
      socket.end(JSON.stringify({ state: this.state, pid: process.pid }));
    };
    // a client without an answer takes the directory for held
    this.server = createServer(guarded(answer, () => undefined));
  }

  /** Undefined where there are no sockets. */
  static async make(way: SocketDirectory): Promise<SocketClaim | undefined> {
    const claim = new SocketClaim(way);
    // Gets its name only when it answers: otherwise it would look like one of a dead process.
    const before = way.pathOf(`${claim.name}.new`);
    try {
      await claim.listen(before);
      await rename(before, way.pathOf(claim.name));
    } catch {
      claim.server.close();
      await removeIfThere(before);
      return undefined;
    }
    return claim;
  }

  private listen(path: string): Promise<void> {
    const { server } = this;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      // any user who can read the directory may ask
      const stand = (): void => {
        server.off('error', reject).on('error', () => undefined);
        server.unref(); // a claim alone keeps no process alive
        resolve();
      };
      server.listen({ path, readableAll: true, writableAll: true, exclusive: true }, guarded(stand, reject));
    });
  }

  /** @throws StorageLockedError when another process has the directory, or will get it */
  async settle(): Promise<void> {
    invariant(this.state === 'claiming', 'a claim settles once');
    const giveUpAt = performance.now() + settleTimeoutMs;
    while (await this.hasRival()) {
      if (performance.now() > giveUpAt) throw new StorageLockedError(this.way.directory, 0);
      await sleep(pollMs);
    }
    this.state = 'held';
  }

  /** Whether another process is making a claim that will yield to this one. */
  private async hasRival(): Promise<boolean> {
    let rivals = 0;
    for (const name of await readdir(this.way.directory)) {
      if (name === this.name || !namePattern.test(name)) continue;
      const other = await probe(this.way.pathOf(name));
      if (other === 'gone') continue;
      if (other === 'dead') await removeIfThere(this.way.pathOf(name));
      else if (other.state === 'held' || name < this.name) throw new StorageLockedError(this.way.directory, other.pid);
      else rivals++;
    }
    return rivals > 0;
  }

  async withdraw(): Promise<void> {
    await removeIfThere(this.way.pathOf(this.name));
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
    await this.way.close();
  }
}

/** Asks the process behind a socket. */
function probe(path: string): Promise<ProbeResult> {
  return new Promise((resolve) => {
    let answer = '';
    let isConnected = false;
    const socket = connect(path);
    // the state is unknown, so the directory may be in use
    const undecided = (): void => done({ state: 'held', pid: 0 });
    const timer = setTimeout(undecided, answerTimeoutMs);
    const done = (result: ProbeResult): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    socket.setEncoding('utf8');
    const failed = (error: Error): void => {
      if (hasErrorCode(error, 'ENOENT')) return done('gone');
      if (hasErrorCode(error, 'ECONNREFUSED')) return done('dead');
      // It existed a moment ago and ended; check again. Any other error proves nothing.
      done({ state: isConnected ? 'claiming' : 'held', pid: 0 });
    };
    socket.on(
      'connect',
      guarded(() => (isConnected = true), undecided),
    );
    socket.on(
      'data',
      guarded((text: string) => (answer += text), undecided),
    );
    socket.on(
      'end',
      guarded(() => done(parseAnswer(answer)), undecided),
    );
    socket.on('error', guarded(failed, undecided));
  });
}

/** The process ended during its answer; check again. */
function parseAnswer(answer: string): ProbeResult {
  try {
    const { state, pid } = JSON.parse(answer) as { state?: unknown; pid?: unknown };
    return { state: state === 'held' ? 'held' : 'claiming', pid: typeof pid === 'number' ? pid : 0 };
  } catch {
    return { state: 'claiming', pid: 0 };
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!hasErrorCode(error, 'ENOENT')) throw error;
  }
}
