import { Namespace } from '@concordat/messaging';

/** The cluster that is simulated. */
export const CLUSTER = 'simulated';
/** What its topics and groups are called on the broker. */
export const NAMESPACE = new Namespace({ cluster: CLUSTER });
