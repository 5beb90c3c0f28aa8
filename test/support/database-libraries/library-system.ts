import { Module, type DynamicModule, type INestApplicationContext, type ModuleMetadata } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Pool } from 'pg';
import { SystemClock, UuidV7Generator, SystemRandom, silentLogger } from '@concordat/foundation';
import { MemoryBroker, MemoryMessageBus } from '@concordat/messaging/testing';
import { ConcordatModule, ConcordatParticipant, type ConcordatOptions } from '@concordat/nestjs';
import {
  GlobalTransactions,
  type BranchEnlistment,
  type BranchSession,
  type BranchSessions,
  type CommitAnswer,
  type CurrentTransaction,
  type GlobalCoordinators,
} from '@concordat/participant';
import type { TestPostgres } from '../postgres.js';

const PARTICIPANT = 'shop';

/** Coordinators in this process: they ask the sessions to prepare, and end what is prepared. */
class Coordinators implements GlobalCoordinators {
  readonly held = new Map<string, BranchSession>();
  private readonly enlisted = new Map<string, BranchEnlistment[]>();
  private readonly ids = new UuidV7Generator(() => Date.now(), new SystemRandom());

  constructor(private readonly database: Pool) {}

  async begin({ timeoutMs }: { timeoutMs: number }): Promise<{ transactionId: string; deadline: number }> {
    const transactionId = this.ids.next();
    this.enlisted.set(transactionId, []);
    return { transactionId, deadline: Date.now() + timeoutMs };
  }

  known(): undefined {
    return undefined;
  }

  async ensure(): Promise<void> {
    // each is known from its begin
  }

  async enlist(transactionId: string, branch: BranchEnlistment): Promise<void> {
    this.enlisted.get(transactionId)?.push(branch);
  }

  async commit(
    transactionId: string,
    _wait: 'decided' | 'ended',
    branches: readonly BranchEnlistment[],
  ): Promise<CommitAnswer> {
    const all = new Set([...(this.enlisted.get(transactionId) ?? []), ...branches].map(({ branchId }) => branchId));
    for (const branchId of all) {
      const answer = await this.held.get(branchId)!.prepare();
      if (answer === 'busy' || answer.vote === 'no') {
        await this.end(transactionId, 'ROLLBACK');
        const error = answer === 'busy' ? undefined : answer.error;
        return {
          outcome: 'aborted',
          reason: 'PARTICIPANT_REFUSED',
          participantCode: error?.code,
          detail: error?.message,
        };
      }
    }
    await this.end(transactionId, 'COMMIT');
    return { outcome: 'committed' };
  }

  async abort(transactionId: string): Promise<void> {
    await this.end(transactionId, 'ROLLBACK');
  }

  async outcomeOf(): Promise<'undecided'> {
    return 'undecided';
  }

  async stateOf(transactionId: string): Promise<{ branches: readonly string[]; isDecided: boolean }> {
    return { branches: await this.branchesOf(transactionId), isDecided: false };
  }

  async branchesOf(transactionId: string): Promise<readonly string[]> {
    return (this.enlisted.get(transactionId) ?? []).map(({ branchId }) => branchId);
  }

  private async end(transactionId: string, verb: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    const { rows } = await this.database.query<{ gid: string }>(
      "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND gid LIKE '%' || $1 || '%'",
      [transactionId],
    );
    for (const { gid } of rows) await this.database.query(`${verb} PREPARED '${gid}'`);
  }
}

/**
 * A service in this process, with its database on a real PostgreSQL server: the module, its held sessions and global
 * transactions, and the table `item` that every library works on.
 */
export class LibrarySystem {
  private constructor(
    private readonly server: TestPostgres,
    /** outside of everything: sees what is committed */
    readonly observer: Pool,
    readonly app: INestApplicationContext,
    readonly transactions: GlobalTransactions,
  ) {}

  /**
   * @param joining what the libraries work with, on the database of the server
   * @param imports further modules of the application
   */
  static async start(
    server: TestPostgres,
    joining: Pick<ConcordatOptions, 'postgres' | 'joining'>,
    imports: NonNullable<ModuleMetadata['imports']>,
  ): Promise<LibrarySystem> {
    const observer = new Pool({ connectionString: server.url, max: 2 });
    observer.on('error', () => undefined);
    await observer.query('CREATE TABLE item (id text PRIMARY KEY, quantity int NOT NULL DEFAULT 0)');
    const coordinators = new Coordinators(observer);
    const clock = new SystemClock();
    const broker = new MemoryBroker({ clock, partitions: 1 });
    const live: { participant?: ConcordatParticipant } = {}; // the module makes it
    const sessionsPort: BranchSessions = {
      instance: 'one',
      hold: async (request) => {
        const session = await live.participant!.hold(request);
        coordinators.held.set(request.branchId, session);
        return session;
      },
    };
    const concordat = ConcordatModule.forRoot({
      participant: PARTICIPANT,
      cluster: 'test',
      coordinators: ['http://127.0.0.1:1'],
      ...joining,
      bus: (namespace) => new MemoryMessageBus(broker, namespace),
      coordinatorsPort: coordinators,
      sessionsPort,
      logger: silentLogger,
      limits: { workConcurrency: 4, heldBranches: 3 },
    });
    const app = await NestFactory.createApplicationContext(rootOf([concordat, ...imports]), {
      logger: false,
      abortOnError: false,
    });
    live.participant = app.get(ConcordatParticipant);
    return new LibrarySystem(server, observer, app, app.get(GlobalTransactions));
  }

  /** Runs work in a global transaction of its own. */
  run<T>(work: (transaction: CurrentTransaction) => Promise<T>): Promise<T> {
    return this.transactions.run({ timeoutMs: 20_000 }, work);
  }

  async reset(): Promise<void> {
    await this.observer.query("TRUNCATE item; INSERT INTO item VALUES ('a', 10)");
  }

  /** What is committed, such as `a=10 b=0`. */
  async items(): Promise<string> {
    const { rows } = await this.observer.query<{ text: string | null }>(
      "SELECT string_agg(id || '=' || quantity, ' ' ORDER BY id) AS text FROM item",
    );
    return rows[0]?.text ?? '';
  }

  async stop(): Promise<void> {
    await this.app.close();
    await this.observer.end();
    await this.server.stop();
  }
}

function rootOf(imports: NonNullable<ModuleMetadata['imports']>): DynamicModule {
  return { module: Root, imports };
}

@Module({})
class Root {}
