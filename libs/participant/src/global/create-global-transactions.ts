import type { Token } from '@concordat/client';
import {
  NO_TRACING,
  SystemClock,
  SystemRandom,
  UuidV7Generator,
  coordinatorFetch,
  silentLogger,
  type Clock,
  type Logger,
  type Random,
  type TlsOption,
  type Tracing,
} from '@concordat/foundation';
import { ContextCodec } from './context-header.js';
import { contextKeysOf } from './context-keys.js';
import { GlobalConfigurationError } from './errors.js';
import { DEFAULT_OUTCOME_LIMIT_MS, GlobalTransactions } from './global-transactions.js';
import { createLeanFetch } from './lean-fetch.js';
import { DestinationList, type Destination } from './options.js';
import type { BranchSessions, GlobalCoordinators } from './ports.js';
import { RestCoordinators } from './rest-coordinators.js';

export interface GlobalTransactionsOptions {
  /** the participant's name: lower-case letters, digits and hyphens, at most 63 */
  readonly participant: string;
  /** the coordinators' cluster; default `local` */
  readonly cluster?: string;
  /** REST URLs of the coordinators; one is enough, more are used when it fails */
  readonly coordinators: readonly string[];
  /**
   * shows the coordinators who calls, where they ask: an API token or a JWT with the roles `client` and
   * `participant:<name>`, or a function that is asked for each request
   */
  readonly token?: Token;
  /** the certificates of this service, where the coordinators speak TLS with an authority of their own */
  readonly tls?: TlsOption;
  /** the sessions of this process: a started `ParticipantRuntime` */
  readonly sessions: BranchSessions;
  /**
   * who is given the context of a transaction, as addressed: `host[:port]`, a Kafka topic, a queue. Everybody on the
   * list must join: a call without a proof dooms the transaction. Default: nobody
   */
  readonly propagateTo?: readonly (string | Destination)[];
  /**
   * signs contexts, the same in all services. Of several, the first signs and all verify, so that a key can be replaced.
   * Default: `CONCORDAT_CONTEXT_KEY`, the file of `CONCORDAT_CONTEXT_KEY_FILE`, or a key for development
   */
  readonly contextKey?: string | readonly string[];
  /** instead of `contextKey`: a file of mode 0600 with one key a line, read again when it changes */
  readonly contextKeyFile?: string;
  /** `kafka` alone cannot address a process: work is prepared when its call ends. Default `direct` */
  readonly link?: 'direct' | 'kafka' | 'both';
  /** what the end of a beginning method waits for; default `ended`: a read right after sees the changes everywhere */
  readonly waitFor?: 'decided' | 'ended';
  /**
   * whether transactions begin with the request to commit them, which saves a request: over direct streams without
   * credentials, in two phases and without metadata. Such a transaction does not survive a change of the leader in its
   * first 250 ms. The same in all services. Default false
   */
  readonly beginWithCommit?: boolean;
  /** how long after the deadline a requested commit is asked about, in milliseconds; default 30,000 */
  readonly outcomeLimitMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** gets a span for each transaction that begins here, and for each call that joins; default: no spans */
  readonly tracing?: Tracing;
  /** default: over REST */
  readonly port?: GlobalCoordinators;
}

/** Checks the options and makes the global transactions of a participant. @throws GlobalConfigurationError */
export function createGlobalTransactions(options: GlobalTransactionsOptions): GlobalTransactions {
  const {
    participant,
    cluster = 'local',
    coordinators,
    token,
    tls,
    sessions,
    propagateTo = [],
    link = 'direct',
  } = options;
  const { clock = new SystemClock({ unref: true }), random = new SystemRandom(), logger = silentLogger } = options;
  if (coordinators.length === 0) {
    throw new GlobalConfigurationError(
      'coordinators is empty; give the URL of at least one, such as http://127.0.0.1:8081 (npx concordat dev)',
    );
  }
  const { contextKey, contextKeyFile, environment = process.env, tracing } = options;
  const monotonic = (): number => clock.monotonic();
  const keys = contextKeysOf({ contextKey, contextKeyFile, cluster, coordinators, environment, logger, monotonic });
  const ids = new UuidV7Generator(() => clock.now(), random);
  // with credentials the coordinators may ask each participant for its own
  const mayNameOthers = link !== 'kafka' && token === undefined && tls === undefined;
  return new GlobalTransactions(
    {
      participant,
      propagateTo: new DestinationList(propagateTo),
      coordinatorHosts: new Set(coordinators.map((url) => new URL(url).host)),
      waitFor: options.waitFor ?? 'ended',
      outcomeLimitMs: options.outcomeLimitMs ?? DEFAULT_OUTCOME_LIMIT_MS,
    },
    {
      coordinators:
        options.port ??
        new RestCoordinators(
          {
            coordinators,
            token,
            headers: traceHeaders(tracing),
            fetch: tls ? coordinatorFetch(tls, cluster) : createLeanFetch(),
          },
          clock,
          mayNameOthers && options.beginWithCommit === true,
        ),
      sessions,
      clock,
      random,
      logger,
      codec: new ContextCodec(keys),
      newBranchId: () => ids.next(),
      isAddressable: link !== 'kafka',
      mayNameOthers,
      ...(tracing && { tracing }),
    },
  );
}

function traceHeaders(tracing: Tracing = NO_TRACING): () => { readonly traceparent: string | undefined } {
  return () => ({ traceparent: tracing.traceparent() });
}
