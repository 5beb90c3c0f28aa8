import { UuidV7Generator, type SeededRandom } from '@concordat/foundation';
import { formatGid } from '@concordat/commit-protocol';
import type { BranchRequest, PreparedBranchRequest } from '../../apps/coordinator/src/index.js';
import { CLUSTER } from './cluster.js';
import { DatabaseSession } from '../support/modelled-database/database-session.js';
import { operate, type OperationPayload } from './participant-node.js';
import { SimulatedProcess } from '@concordat/foundation/testing';
import type { World } from './world.js';

/**
 * What a service does that prepares its share itself (contract, second form of enlisting): work and ledger row in
 * one local transaction, prepared under the gid of a branch of its own. Undefined when it could not be prepared;
 * what may be prepared nevertheless is for the sweeper to find.
 */
export async function prepareOwnBranch(
  world: World,
  random: SeededRandom,
  transactionId: string,
  { participant, operation, payload }: BranchRequest,
): Promise<PreparedBranchRequest | undefined> {
  const database = world.databases.find(({ name }) => name === participant);
  if (!database) return undefined;
  const branchId = new UuidV7Generator(() => world.clock.now(), random).next();
  const session = new DatabaseSession(database, new SimulatedProcess('service', world.clock));
  try {
    await session.begin(500);
    await operate(session, operation, payload as unknown as OperationPayload);
    if (!(await session.hasWritten())) {
      await session.commit();
      world.checker.enlisted(branchId);
      return { participant, branchId, vote: 'read-only' };
    }
    const row = { transactionId, outcome: 'committed', results: [] } as const;
    const tag = await session.insertAndPrepare(branchId, row, formatGid(CLUSTER, transactionId, branchId));
    return tag === 'PREPARE' ? { participant, branchId, vote: 'yes' } : undefined;
  } catch {
    return undefined;
  } finally {
    session.break();
  }
}
