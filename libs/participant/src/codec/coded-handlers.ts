import { PayloadCodecError, PayloadCodecs, type PayloadCodec } from '@concordat/client';
import type { JsonValue } from '@concordat/foundation';
import type { OperationCall } from '@concordat/commit-protocol';
import { BranchResults } from '../runtime/branch-results.js';
import { BranchRefusedError } from '../runtime/errors.js';
import type { OperationBranch, OperationHandlers } from '../runtime/participant-runtime.types.js';

/**
 * Handlers that get decoded payloads and whose results are encoded, by the codecs that the clients have. A payload that
 * no codec has made is handed on as it is, and its result is not encoded: its client could not read it.
 *
 * A branch is refused with `UNKNOWN_CODEC` where no codec has the id of its payload, and with `PAYLOAD_NOT_DECODABLE`
 * where the codec refuses it.
 *
 * @param participant whose handlers they are; payloads are bound to it
 * @throws ClientOptionError when the ids of the codecs are not valid
 */
export function withPayloadCodecs<Context>(
  participant: string,
  handlers: OperationHandlers<Context>,
  codecs: readonly PayloadCodec[],
): OperationHandlers<Context> {
  if (codecs.length === 0) return handlers;
  const known = new PayloadCodecs(codecs);
  return {
    operations: () => handlers.operations(),
    async handle(call: OperationCall, context: Context, branch: OperationBranch): Promise<unknown> {
      const { operation } = call;
      const payload = await decoded(known, call, participant);
      if (payload === call.payload) return handlers.handle(call, context, branch);
      const returned = await handlers.handle({ ...call, payload }, context, branch);
      // before it is encoded: afterwards it would be JSON whatever it was
      const [result] = BranchResults.of(operation, [returned]);
      return known.encode(result, { participant, operation, kind: 'result' });
    },
  };
}

async function decoded(codecs: PayloadCodecs, call: OperationCall, participant: string): Promise<JsonValue> {
  try {
    const { operation, payload } = call;
    return (await codecs.decode(payload, { participant, operation, kind: 'payload' })) ?? null;
  } catch (error) {
    if (!(error instanceof PayloadCodecError)) throw error;
    throw new BranchRefusedError(error.code, error.message, { cause: error });
  }
}
