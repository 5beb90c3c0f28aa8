import {
  silentLogger,
  SystemClock,
  SystemRandom,
  type JsonValue,
  type Logger,
  type Tracing,
} from '@concordat/foundation';
import { dialOverTcp, DirectParticipantBus } from '@concordat/messaging';
import { BranchRefusedError, ParticipantRuntime, type ParticipantLimits } from '@concordat/participant';
import { MemoryData, type MemoryContext } from './memory-data.js';
import { MemoryResourceManager } from './memory-resource-manager.js';

/** Does the work of one operation; what it returns is the operation's result. Throw `BranchRefusedError` to refuse. */
export type TestOperation = (payload: JsonValue, data: MemoryContext) => unknown;

export interface TestParticipantOptions {
  /** the coordinator, or anything that has its URL and the name of its cluster */
  readonly coordinator: { readonly url: string; readonly cluster: string };
  readonly participant: string;
  readonly operations: Readonly<Record<string, TestOperation>>;
  /** committed before the first branch */
  readonly data?: Readonly<Record<string, JsonValue>>;
  readonly limits?: Partial<ParticipantLimits>;
  readonly logger?: Logger;
  /** gets a span for each operation; default: none */
  readonly tracing?: Tracing;
}

/**
 * A stand-in for a service that a test does not start: a participant without a database, in this process, connected as
 * a service is. Its data are values by key; they are gone when it stops.
 */
export class TestParticipant implements AsyncDisposable {
  private constructor(
    readonly participant: string,
    private readonly memory: MemoryData,
    private readonly runtime: ParticipantRuntime<MemoryContext>,
    private readonly bus: DirectParticipantBus,
  ) {}

  /** Use `startTestParticipant`. */
  static async start(options: TestParticipantOptions): Promise<TestParticipant> {
    const { coordinator, participant, operations, limits, logger = silentLogger } = options;
    const [clock, random] = [new SystemClock(), new SystemRandom()];
    const { cluster, url } = coordinator;
    const memory = new MemoryData();
    for (const [key, value] of Object.entries(options.data ?? {})) memory.set(key, value);
    const dependencies = { clock, random, logger };
    const bus = new DirectParticipantBus({
      ...dependencies,
      cluster,
      participant,
      coordinators: [url],
      dial: dialOverTcp,
    });
    const runtime = new ParticipantRuntime<MemoryContext>({
      ...dependencies,
      participant,
      bus,
      resourceManager: new MemoryResourceManager(memory, cluster, clock, logger),
      handlers: {
        operations: () => Object.keys(operations).sort(),
        handle: async ({ operation, payload }, context) => {
          const handler = Object.hasOwn(operations, operation) ? operations[operation] : undefined;
          if (!handler) throw new BranchRefusedError('UNKNOWN_OPERATION', `there is no operation "${operation}"`);
          return (await handler(payload, context)) ?? null;
        },
      },
      ...(limits && { limits }),
      ...(options.tracing && { tracing: options.tracing }),
    });
    await bus.start();
    await runtime.start();
    return new TestParticipant(participant, memory, runtime, bus);
  }

  /** The committed value of a key. */
  get(key: string): JsonValue | undefined {
    return this.memory.get(key);
  }

  /** All committed values. */
  data(): Readonly<Record<string, JsonValue>> {
    return this.memory.entries();
  }

  /** Leaves the coordinator and forgets its data. */
  async stop(): Promise<void> {
    await this.runtime.stop();
    await this.bus.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts a stand-in. Await the coordinator's `participantsReady` before the first request. */
export function startTestParticipant(options: TestParticipantOptions): Promise<TestParticipant> {
  return TestParticipant.start(options);
}
