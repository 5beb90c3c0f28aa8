import { silentLogger, type JsonValue, type Logger } from '@concordat/foundation';
import { createGlobalTransactions, joinFetch, watchUnjoinedClients, type GlobalTransactions } from '../global/index.js';
import type { Leave, PostgresContext } from '../postgres/index.js';
import { BranchRefusedError } from '../runtime/errors.js';
import type { ParticipantMetrics } from '../runtime/participant-metrics.js';
import {
  checkGlobalParticipantOptions,
  serviceOptionsOf,
  type GlobalParticipantOptions,
} from './global-participant-options.js';
import { checkLibraries } from './database-library.js';
import type { ParticipantHealth } from './health.js';
import { joinSources } from './joined-sources.js';
import { ParticipantService, type ServiceHandlers } from './participant-service.js';

/** Runs an operation in the local transaction of its branch; what it returns is the result. May run more than once. */
export type OperationHandler = (payload: JsonValue, context: PostgresContext) => unknown;

export interface StartParticipantOptions extends GlobalParticipantOptions {
  /** the operations that this participant offers to one-shot transactions, by name; default: none */
  readonly operations?: Readonly<Record<string, OperationHandler>>;
}

/** A participant that runs, from `startParticipant` to `stop`. */
export interface RunningParticipant {
  /** begins transactions (`run`) and joins those of callers (`join`) */
  readonly transactions: GlobalTransactions;
  /** whether it can take part now, and if not, why: `reasonsNotReady` gives sentences */
  health(): Promise<ParticipantHealth>;
  metrics(): ParticipantMetrics;
  /** Ends its work and its connections. The pools and DataSources of the service stay open, and are its own again. */
  stop(): Promise<void>;
}

/**
 * Makes a service without a framework a participant: begins and joins global transactions, and serves operations. Its
 * pool or DataSource joins, and so does `fetch` to the destinations on `propagateTo`.
 *
 * Resolves when the participant takes part. Until then it tries again, and says in the log why.
 *
 * @throws GlobalConfigurationError for options that are wrong
 * @throws CodedError when it can never start with this set-up, such as `PostgresSetupError`
 */
export async function startParticipant(options: StartParticipantOptions): Promise<RunningParticipant> {
  checkGlobalParticipantOptions(options, 'startParticipant', ['operations']);
  const { logger = consoleLogger, operations = {}, onFatal } = options;
  let giveUp: (error: unknown) => void = () => undefined;
  const fatal = new Promise<never>((_, reject) => (giveUp = reject));
  fatal.catch(() => undefined); // after the start nobody awaits it
  const service = new ParticipantService(
    {
      ...serviceOptionsOf(options),
      logger,
      onFatal: (error) => {
        giveUp(error);
        onFatal?.(error);
      },
    },
    handlersOf(operations),
  );
  const transactions = createGlobalTransactions({ ...options, logger, sessions: service });
  const leaves: readonly Leave[] = [
    joinSources(options, () => transactions.currentScope() ?? service.currentWork(), {
      onOutsideUse: (sentence) => logger.warn(sentence),
      logger,
    }),
    joinFetch(transactions),
    watchUnjoinedClients(transactions),
  ];
  const stop = async (): Promise<void> => {
    for (const leave of leaves) leave();
    await service.stop();
  };
  service.start();
  try {
    await Promise.race([checkLibraries(options.joining).then(() => service.ready), fatal]);
  } catch (error) {
    await stop();
    throw error;
  }
  return { transactions, health: () => service.health(), metrics: () => service.metrics(), stop };
}

function handlersOf(operations: Readonly<Record<string, OperationHandler>>): ServiceHandlers {
  return {
    listening: Promise.resolve(),
    notListening: 'the participant is starting',
    check: () => undefined,
    operations: () => Object.keys(operations).sort(),
    handle: async ({ operation, payload }, context) => {
      const handler = Object.hasOwn(operations, operation) ? operations[operation] : undefined;
      if (!handler) throw new BranchRefusedError('UNKNOWN_OPERATION', `there is no operation "${operation}" here`);
      return handler(payload, context);
    },
  };
}

/** Only what an operator should see. */
const consoleLogger: Logger = {
  ...silentLogger,
  warn: (message) => console.warn(`Concordat: ${message}`),
  error: (message, error) => console.error(`Concordat: ${message}`, ...(error === undefined ? [] : [error])),
};
