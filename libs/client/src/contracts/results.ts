import { InvalidAnswerError, InvalidRequestError } from '../errors/errors.js';
import type { Transaction } from '../model/transaction.js';
import type { ContractedWork, OperationWork, ResultsOf } from './operation.js';
import { describeIssues, type StandardSchema } from './standard-schema.js';

type MaybeContracted = OperationWork & Partial<Pick<ContractedWork, 'contract'>>;

/**
 * The results of work, each in the place of its own: those of a committed transaction into which exactly this work was
 * enlisted, in this order.
 *
 * @throws InvalidAnswerError when the transaction holds other work, or a result does not fit its contract
 */
export async function resultsOf<const Works extends readonly OperationWork[]>(
  transaction: Transaction,
  works: Works,
): Promise<ResultsOf<Works>> {
  const taken = new Map<string, number>();
  const results: unknown[] = [];
  for (const { participant, operation, contract } of works as readonly MaybeContracted[]) {
    // all work for one participant is in one branch, in order
    const branch = transaction.branches.find((candidate) => candidate.participant === participant);
    const place = taken.get(participant) ?? 0;
    taken.set(participant, place + 1);
    const done = branch?.operations[place];
    if (done?.operation !== operation) {
      const found = done === undefined ? 'nothing' : `"${done.operation}"`;
      throw new InvalidAnswerError(
        `transaction ${transaction.id} has ${found} where "${operation}" of "${participant}" is expected`,
      );
    }
    results.push(await parse(contract?.settings.result, done.result, `the result of "${operation}"`));
  }
  return results as ResultsOf<Works>;
}

async function parse(schema: StandardSchema | undefined, value: unknown, what: string): Promise<unknown> {
  if (schema === undefined) return value;
  const parsed = await schema['~standard'].validate(value);
  if (parsed.issues === undefined) return parsed.value;
  throw new InvalidAnswerError(`${what} does not fit its contract: ${describeIssues(parsed.issues)}`);
}

/** Checks payloads by the schemas of their contracts, before anything is sent. @throws InvalidRequestError */
export async function checkPayloads(works: readonly OperationWork[]): Promise<void> {
  for (const { participant, operation, payload, contract } of works as readonly MaybeContracted[]) {
    const checked = await contract?.settings.payload?.['~standard'].validate(payload);
    if (checked?.issues === undefined) continue;
    const sentence = `the payload of "${operation}" of "${participant}" is not valid: ${describeIssues(checked.issues)}`;
    throw new InvalidRequestError('INVALID_PAYLOAD', sentence);
  }
}
