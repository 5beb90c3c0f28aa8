import type { EntityManager } from 'typeorm';
import type { JsonValue } from '@concordat/foundation';
import type { OperationBranch } from '../../runtime/participant-runtime.types.js';
import type { BranchClient } from './guarded-client.js';

/** What a handler works with: one local transaction, through `pg` or TypeORM. */
export interface PostgresContext {
  readonly branch: OperationBranch;
  readonly client: BranchClient;
  /** Bound to the same transaction. @throws ParticipantConfigurationError when no DataSource was given */
  readonly manager: EntityManager;
}

/** Runs the handlers of a branch in order; resolves with the result of each. */
export type Work = (context: PostgresContext) => Promise<readonly JsonValue[]>;
