import { ResourceManagerUnavailableError } from '../../runtime/errors.js';
import { describeFailure } from '../statements/failure-classes.js';

/** @throws ResourceManagerUnavailableError whatever `ask` fails with: the truth is not known then */
export async function orUnavailable<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof ResourceManagerUnavailableError) throw cause;
    throw new ResourceManagerUnavailableError(`the database did not answer: ${describeFailure(cause)}`, { cause });
  }
}
