import { InvalidRequestError } from '../errors/errors.js';
import { jsonFault, type JsonValue } from '../model/json.js';
import type { Branch, Operation, Transaction } from '../model/transaction.js';
import type { OperationWork } from '../contracts/operation.js';
import { PayloadCodecError, type PayloadCodecs } from './payload-codecs.js';
import type { PayloadContext } from './payload-codec.js';

/** What cannot be decoded is left as it is, or is an error. */
export type Undecodable = 'left' | 'error';

/**
 * The same work with encoded payloads.
 *
 * @throws InvalidRequestError `INVALID_VALUE` for a payload that is no JSON
 */
export async function encodedWorks<Work extends OperationWork>(
  codecs: PayloadCodecs,
  works: readonly Work[],
): Promise<readonly Work[]> {
  if (codecs.isEmpty) return works;
  return Promise.all(
    works.map(async (work, place) => {
      const { participant, operation, payload } = work;
      const fault = payload === undefined ? undefined : jsonFault(payload, `branches[${place}].payload`);
      if (fault !== undefined) throw new InvalidRequestError('INVALID_VALUE', fault);
      return { ...work, payload: await codecs.encode(payload, { participant, operation, kind: 'payload' }) };
    }),
  );
}

/** The same transaction with payloads and results as they were before they were encoded. @throws PayloadCodecError */
export async function decodedTransaction(
  codecs: PayloadCodecs,
  transaction: Transaction,
  undecodable: Undecodable = 'left',
): Promise<Transaction> {
  if (codecs.isEmpty) return transaction;
  const branches = await Promise.all(transaction.branches.map((branch) => decodedBranch(codecs, branch, undecodable)));
  return { ...transaction, branches };
}

/** @throws PayloadCodecError */
export async function decodedBranch(
  codecs: PayloadCodecs,
  branch: Branch,
  undecodable: Undecodable = 'left',
): Promise<Branch> {
  if (codecs.isEmpty) return branch;
  const { participant } = branch;
  const decode = async (value: JsonValue | undefined, context: PayloadContext): Promise<JsonValue | undefined> => {
    try {
      return await codecs.decode(value, context);
    } catch (error) {
      // the payload is the caller's own: only the result is news
      const isLeft = undecodable === 'left' || context.kind === 'payload';
      if (isLeft && error instanceof PayloadCodecError) return value;
      throw error;
    }
  };
  const operations = branch.operations.map(async (call): Promise<Operation> => {
    const { operation } = call;
    const payload = await decode(call.payload, { participant, operation, kind: 'payload' });
    const result = await decode(call.result, { participant, operation, kind: 'result' });
    return { ...call, payload: payload ?? null, ...(result !== undefined && { result }) };
  });
  return { ...branch, operations: await Promise.all(operations) };
}
