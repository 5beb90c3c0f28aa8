import type { Kafka } from 'kafkajs';
import { errorTypes } from './kafka-client.js';
import { withSeedBroker } from './seed-broker.js';

/**
 * Whether this user may not read in a group: what it is refused to see, it may not read either. The group need not exist.
 * kafkajs itself hides this, and says that the group has no coordinator.
 */
export async function isGroupForbidden(client: Kafka, group: string): Promise<boolean> {
  const isForbidden = await withSeedBroker(client, async (broker) => {
    try {
      await broker.describeGroups({ groupIds: [group] });
      return false;
    } catch (error) {
      return errorTypes(error).includes('GROUP_AUTHORIZATION_FAILED'); // any other broker may have the group
    }
  });
  return isForbidden ?? false;
}
