import { ResourceManagerUnavailableError } from '../../runtime/errors.js';
import { describeFailure } from '../statements/failure-classes.js';

/** @throws ResourceManagerUnavailableError for any failure of `ask`: the state is unknown then */
export async function orUnavailable<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof ResourceManagerUnavailableError) throw cause;
    throw new ResourceManagerUnavailableError(`the database did not answer: ${describeFailure(cause)}`, { cause });
  }
}
