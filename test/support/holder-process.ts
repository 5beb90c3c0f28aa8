import { SystemClock, SystemRandom, type JsonValue } from '@concordat/foundation';
import { DirectParticipantBus, dialOverTcp } from '@concordat/messaging';
import {
  ParticipantRuntime,
  PostgresResourceManager,
  type HeldBranch,
  type PostgresContext,
} from '@concordat/participant';

/** What the process is asked for, over its IPC channel. */
export type HolderCall =
  | { readonly name: 'hold'; readonly transactionId: string; readonly branchId: string; readonly deadline: number }
  | { readonly name: 'query'; readonly branchId: string; readonly text: string }
  | { readonly name: 'begin-query'; readonly branchId: string; readonly text: string };

export interface HolderRequest {
  readonly id: number;
  readonly call: HolderCall;
}

export type HolderAnswer =
  { readonly id: number; readonly value: JsonValue } | { readonly id: number; readonly error: string };

const TIMEOUT_MS = 60_000;

/** A service that holds branches, without a framework: it does what it is told, and may be killed at any time. */
class Holder {
  private readonly branches = new Map<string, HeldBranch<PostgresContext>>();
  private readonly runtime: ParticipantRuntime<PostgresContext>;
  private readonly bus: DirectParticipantBus;
  private readonly resourceManager: PostgresResourceManager;

  constructor({
    CLUSTER: cluster = '',
    PARTICIPANT: participant = '',
    INSTANCE: instance = '',
    ...rest
  }: NodeJS.ProcessEnv) {
    const clock = new SystemClock();
    const random = new SystemRandom();
    const { DATABASE_URL: connectionString = '', COORDINATOR: coordinator = '' } = rest;
    this.resourceManager = new PostgresResourceManager({ connectionString, cluster, participant }, { clock });
    const coordinators = [coordinator];
    this.bus = new DirectParticipantBus({
      cluster,
      participant,
      instance,
      coordinators,
      dial: dialOverTcp,
      clock,
      random,
    });
    this.runtime = new ParticipantRuntime({
      participant,
      instance,
      resourceManager: this.resourceManager,
      bus: this.bus,
      handlers: { operations: () => [], handle: () => Promise.reject(new Error('there are no operations')) },
      clock,
      random,
      limits: { sweepIntervalMs: 500, inquiryAfterMs: 500 },
    });
  }

  async start(): Promise<void> {
    await this.resourceManager.start();
    await this.bus.start();
    await this.runtime.start();
  }

  async answer(call: HolderCall): Promise<JsonValue> {
    switch (call.name) {
      case 'hold': {
        const { transactionId, branchId, deadline } = call;
        const branch = await this.runtime.hold({ transactionId, branchId, deadline, timeoutMs: TIMEOUT_MS });
        this.branches.set(branchId, branch);
        return this.runtime.instance;
      }
      case 'query':
        return (await this.query(call)) as JsonValue;
      case 'begin-query':
        this.query(call).catch(() => undefined); // forgotten, as by a missing await
        return null;
    }
  }

  private async query({ branchId, text }: { branchId: string; text: string }): Promise<unknown> {
    const branch = this.branches.get(branchId);
    if (!branch) throw new Error(`no branch ${branchId} is held here`);
    return (await branch.context.client.query(text)).rows;
  }
}

const holder = new Holder(process.env);
process.on('message', ({ id, call }: HolderRequest) => {
  const send = (answer: HolderAnswer): void => void process.send?.(answer);
  holder.answer(call).then(
    (value) => send({ id, value }),
    (error: unknown) => send({ id, error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
await holder.start();
process.send?.({ id: 0, value: null } satisfies HolderAnswer);
