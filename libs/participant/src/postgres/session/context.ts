import type { EntityManager } from 'typeorm';
import type { JsonValue } from '@concordat/foundation';
import type { OperationBranch } from '../../runtime/participant-runtime.types.js';
import type { BranchClient } from './guarded-client.js';

/** What a handler works with: one local transaction, seen through `pg` or TypeORM. */
export interface PostgresContext {
  readonly branch: OperationBranch;
  readonly client: BranchClient;
  /** Bound to the very same transaction. @throws ParticipantConfigurationError when no DataSource was given */
  readonly manager: EntityManager;
}

/** The handlers of a branch, one after the other; resolves with what each of them returned. */
export type Work = (context: PostgresContext) => Promise<readonly JsonValue[]>;
