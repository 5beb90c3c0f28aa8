import { InvalidAnswerError } from '../errors/errors.js';

/** Pages of a list end far below it; what is longer was not sent by a coordinator. */
const MAXIMUM_ANSWER_BYTES = 64 * 1024 * 1024;

/** The whole body as text. @throws InvalidAnswerError when it is too long, or no UTF-8 */
export async function readText(response: Response, maximumBytes = MAXIMUM_ANSWER_BYTES): Promise<string> {
  // no body, or an answer of a `fetch` that has read it
  if (response.body === null) return response.text();
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (piece?: Uint8Array): string => {
    try {
      return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
    } catch (cause) {
      throw invalid(response, 'the answer is not valid UTF-8', cause);
    }
  };
  const reader = response.body.getReader();
  let text = '';
  try {
    for (let sizeBytes = 0; ;) {
      const { done, value } = await reader.read();
      if (done) return text + decode();
      sizeBytes += value.byteLength;
      if (sizeBytes > maximumBytes) throw invalid(response, `the answer has more than ${maximumBytes} bytes`);
      text += decode(value);
    }
  } catch (error) {
    await reader.cancel(error).catch(() => undefined);
    throw error;
  }
}

function invalid({ status }: Response, message: string, cause?: unknown): InvalidAnswerError {
  return new InvalidAnswerError(message, { status, cause, mayHaveTakenEffect: true });
}
